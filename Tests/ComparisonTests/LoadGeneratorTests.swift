//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Dispatch
import Foundation
import KafkaNetwork
import KafkaProtocol
import LogModel
import NIOCore
import NIOPosix
import RuntimeEnvironment
import Synchronization
import Testing

@Suite struct LoadGeneratorTests {
    private static func with<Value: Sendable>(_ body: (LoadGenerator) async throws -> Value) async throws -> Value {
        let generator = LoadGenerator(
            group: MultiThreadedEventLoopGroup.singleton, clock: SystemClock(), randomness: SystemRandomSource(),
            verificationPatience: .milliseconds(50))
        do {
            let value = try await body(generator)
            await generator.close()
            return value
        } catch {
            await generator.close()
            throw error
        }
    }

    private static func fill(_ bytes: Int64, acks: Int16 = -1) -> FillLoad {
        FillLoad(topic: "t", partition: 0, bytes: bytes, recordBytes: 1024, compressibleTo: 0.5, acks: acks, seed: 1)
    }

    @Test(arguments: [-1, 1] as [Int16])
    func aFillPutsTheBytesThereAndAllOfThemAreFoundAgain(acks: Int16) async throws {
        try await FakeBroker.with(topics: ["t": 1]) { broker, bootstrap in
            try await Self.with { generator in
                let outcome = try await generator.fill(Self.fill(8 << 20, acks: acks), bootstrap: bootstrap)
                #expect(outcome.bytes >= 8 << 20 && outcome.bytes < 9 << 20)
                #expect(outcome.bytes == Int64(broker.batchSizes.reduce(0, +)))
                #expect(outcome.records == broker.endOffset("t", 0))
                let verified = try await generator.verify(topic: "t", bootstrap: bootstrap)
                #expect(
                    verified
                        == VerifyOutcome(
                            acknowledged: outcome.records, read: outcome.records, lost: 0, duplicated: 0, reordered: 0, damaged: 0))
            }
        }
    }

    @Test func whatABrokerLosesRepeatsSwapsOrDamagesIsCounted() async throws {
        let fates: [Int: FakeBroker.Fate] = [3: .lose, 5: .appendTwice, 8: .swapWithPrevious, 10: .damage]
        try await FakeBroker.with(topics: ["t": 1], fate: { fates[$0] ?? .append }) { broker, bootstrap in
            try await Self.with { generator in
                let outcome = try await generator.fill(Self.fill(8 << 20), bootstrap: bootstrap)
                let perBatch = outcome.records / Int64(broker.batchSizes.count)
                let verified = try await generator.verify(topic: "t", bootstrap: bootstrap)
                #expect(verified.acknowledged == outcome.records)
                #expect(verified.duplicated == perBatch)
                #expect(verified.reordered == perBatch)
                #expect(verified.damaged == perBatch)
                // Those not kept, and those not kept whole.
                #expect(verified.lost == 2 * perBatch)
            }
        }
    }

    @Test func refusalsThatPassAreOvercomeWithoutLossRepetitionOrDisorder() async throws {
        // Refused now and then, and now and then the connection breaks with requests under way.
        try await FakeBroker.with(
            topics: ["t": 1],
            fate: { number in
                switch number % 7 {
                case 2: .refuse(.notLeaderOrFollower)
                case 4: .refuse(.notEnoughReplicas)
                case 6 where number < 30: .closeConnection
                default: .append
                }
            }
        ) { broker, bootstrap in
            try await Self.with { generator in
                let outcome = try await generator.fill(Self.fill(4 << 20), bootstrap: bootstrap)
                let verified = try await generator.verify(topic: "t", bootstrap: bootstrap)
                #expect(verified.acknowledged == outcome.records)
                #expect(verified.lost == 0 && verified.duplicated == 0 && verified.reordered == 0 && verified.damaged == 0)
            }
        }
    }

    @Test func aBrokerThatHasForgottenTheProducerIsGivenANewOne() async throws {
        try await FakeBroker.with(topics: ["t": 1], fate: { $0 == 4 ? .refuse(.unknownProducerId) : .append }) {
            broker, bootstrap in
            try await Self.with { generator in
                let outcome = try await generator.fill(Self.fill(4 << 20), bootstrap: bootstrap)
                #expect(broker.producerIDs >= 2)
                let verified = try await generator.verify(topic: "t", bootstrap: bootstrap)
                #expect(verified.acknowledged == outcome.records && verified.lost == 0)
            }
        }
    }

    @Test func aRefusalForGoodIsToldWithItsReason() async throws {
        try await FakeBroker.with(topics: ["t": 1], fate: { _ in .refuse(.messageTooLarge) }) { _, bootstrap in
            try await Self.with { generator in
                let error = await #expect(throws: LoadGenerator.Failure.self) {
                    try await generator.fill(Self.fill(1 << 20), bootstrap: bootstrap)
                }
                #expect(error?.description.contains("MESSAGE_TOO_LARGE") == true)
            }
        }
    }

    @Test func aSteadyLoadKeepsItsRateAndMeasuresFromTheIntendedTime() async throws {
        let delay = Duration.milliseconds(30)
        try await FakeBroker.with(topics: ["t": 3], delay: delay) { broker, bootstrap in
            try await Self.with { generator in
                let load = SteadyLoad(
                    topic: "t", recordBytes: 200, compressibleTo: 0.5, recordsPerSecond: 2000, producers: 2, consumers: 2,
                    warmupSeconds: 0.2, seconds: 1, acks: -1, seed: 3)
                let outcome = try await generator.steady(load, bootstrap: bootstrap)
                // The schedule, not the machine, says how many are due in the window; on a slow machine they are acknowledged later.
                #expect(outcome.records <= 2400)
                #expect(outcome.errors == 0)
                #expect(outcome.responseSeconds.p50 >= 0.03)
                #expect(outcome.responseSeconds.max >= outcome.responseSeconds.p99)
                #expect(outcome.endToEndSeconds != nil)
                #expect(outcome.responseCurve.last?[0] == 1)
                #expect(outcome.loadCPUSeconds > 0)
                let sent = (0..<3).reduce(0) { $0 + broker.endOffset("t", $1) }
                #expect(sent == 2400)
                let verified = try await generator.verify(topic: "t", bootstrap: bootstrap)
                #expect(verified.acknowledged == sent && verified.lost == 0 && verified.duplicated == 0)
            }
        }
    }

    /// A broker that closes what is idle ends connections on which nothing is under way: no request tells of it.
    @Test func aConnectionThatEndsIdleIsOpenedAnew() async throws {
        let produced = Mutex(0)
        try await FakeBroker.with(
            topics: ["t": 1], idleTimeout: .milliseconds(200),
            fate: { number in
                produced.withLock { $0 = number }
                return .append
            }
        ) { broker, bootstrap in
            try await Self.with { generator in
                let load = ProbeLoad(
                    name: "p", topic: "t", partition: 0, recordsPerSecond: 2, recordBytes: 100, compressibleTo: 0.5, acks: -1,
                    seed: 4)
                try await generator.startProbe(load, bootstrap: bootstrap)
                // A producer that waits on its dead connection never comes to the third.
                while produced.withLock({ $0 }) < 3 { try await Task.sleep(for: .milliseconds(5)) }
                let outcome = try await generator.stopProbe(name: "p")
                #expect(outcome.errors == 0 && outcome.acknowledged == broker.endOffset("t", 0))
                #expect(outcome.gaps.allSatisfy { !$0.isOpen })
            }
        }
    }

    @Test func aProbeSeesTheGapThatRefusalsMake() async throws {
        let isRefusing = Mutex(false)
        let produced = Mutex(0)
        try await FakeBroker.with(
            topics: ["t": 2],
            fate: { number in
                produced.withLock { $0 = number }
                return isRefusing.withLock { $0 } ? .refuse(.notLeaderOrFollower) : .append
            }
        ) { broker, bootstrap in
            try await Self.with { generator in
                let load = ProbeLoad(
                    name: "p", topic: "t", partition: 1, recordsPerSecond: 500, recordBytes: 100, compressibleTo: 0.5, acks: -1,
                    seed: 4)
                try await generator.startProbe(load, bootstrap: bootstrap)
                isRefusing.withLock { $0 = true }
                let begun = produced.withLock { $0 }
                // Some retries' time, as the broker sees it.
                while produced.withLock({ $0 }) < begun + 8 { try await Task.sleep(for: .milliseconds(1)) }
                isRefusing.withLock { $0 = false }
                let healed = produced.withLock { $0 }
                while produced.withLock({ $0 }) < healed + 20 { try await Task.sleep(for: .milliseconds(1)) }
                let outcome = try await generator.stopProbe(name: "p")
                #expect(outcome.errors == 0)
                #expect(outcome.normalIntervalSeconds == 0.002)
                #expect((outcome.longestGapSeconds ?? 0) > 0.05)
                #expect(outcome.gaps.allSatisfy { $0.partition == 1 })
                #expect(outcome.acknowledged == broker.endOffset("t", 1))
                let verified = try await generator.verify(topic: "t", bootstrap: bootstrap)
                #expect(verified.lost == 0 && verified.duplicated == 0 && verified.reordered == 0)
                await #expect(throws: LoadGenerator.Failure.self) { try await generator.stopProbe(name: "p") }
            }
        }
    }

    private static func lines(of handle: FileHandle) -> AsyncStream<Data> {
        AsyncStream { continuation in
            DispatchQueue(label: "answers").async {
                var text = Data()
                while case let data = handle.availableData, !data.isEmpty {
                    text.append(data)
                    while let end = text.firstIndex(of: UInt8(ascii: "\n")) {
                        continuation.yield(Data(text[text.startIndex..<end]))
                        text.removeSubrange(text.startIndex...end)
                    }
                }
                continuation.finish()
            }
        }
    }

    @Test func theProcessAnswersEachLineAndEndsWithItsInput() async throws {
        try await FakeBroker.with(topics: ["t": 1]) { _, bootstrap in
            let input = Pipe(), output = Pipe(), progress = Pipe()
            let (reading, writing, telling) = (
                input.fileHandleForReading, output.fileHandleForWriting, progress.fileHandleForWriting
            )
            let process = Task {
                await runLoadProcess(input: reading, output: writing, progress: telling)
                try? writing.close()
            }
            func send(_ command: LoadCommand) throws {
                try input.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(command) + Data("\n".utf8))
            }
            try send(LoadCommand(id: 1, bootstrap: bootstrap, action: .fill(Self.fill(1 << 20))))
            try input.fileHandleForWriting.write(contentsOf: Data("nonsense\n".utf8))
            var answers: [Int: LoadAnswer.Outcome] = [:]
            var lines = Self.lines(of: output.fileHandleForReading).makeAsyncIterator()
            func readAnswers(until count: Int) async throws {
                while answers.count < count, let line = await lines.next() {
                    let answer = try JSONDecoder().decode(LoadAnswer.self, from: line)
                    answers[answer.id] = answer.outcome
                }
            }
            try await readAnswers(until: 2)
            try send(LoadCommand(id: 2, bootstrap: bootstrap, action: .verify(topic: "t")))
            try await readAnswers(until: 3)
            try input.fileHandleForWriting.close()
            await process.value
            guard case .fill(let fill) = answers[1], case .verify(let verified) = answers[2], case .failed = answers[0] else {
                Issue.record("unexpected answers: \(answers)")
                return
            }
            #expect(verified.acknowledged == fill.records && verified.lost == 0)
        }
    }
}
