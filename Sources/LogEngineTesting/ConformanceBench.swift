//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import RuntimeEnvironment
import Synchronization

/// What a case works with: the engine, its partitions, and the shorthand for asking and demanding.
final class ConformanceBench: Sendable {
    let subject: any EngineUnderTest
    let traits: EngineTraits
    /// Names the topic, and seeds what is random in the case.
    let seed: UInt64
    private let topicID: TopicID
    private let current: Mutex<any LogEngine>

    init(_ subject: any EngineUnderTest, traits: EngineTraits) async throws {
        self.subject = subject
        self.traits = traits
        seed = subject.environment.randomness.next()
        var generator = SplitMix(seed: seed)
        topicID = .random(using: &generator)
        let engine = try await subject.makeEngine()
        try await engine.start()
        current = Mutex(engine)
    }

    var engine: any LogEngine { current.withLock { $0 } }

    func partition(_ number: Int32 = 0) -> PartitionID {
        PartitionID(topicID: topicID, topic: "conformance", partition: number)
    }

    /// The broker itself as leader and only replica.
    func assignment(
        _ number: Int32 = 0, epoch: Int32 = 1, partitionEpoch: Int64? = nil, leader: BrokerID? = nil, replicas: [BrokerID]? = nil
    ) -> PartitionAssignment {
        let replicas = replicas ?? [subject.brokerID]
        return PartitionAssignment(
            partition: partition(number), leader: leader ?? subject.brokerID, leaderEpoch: LeaderEpoch(epoch),
            partitionEpoch: partitionEpoch ?? Int64(epoch), replicas: replicas, inSyncReplicas: replicas)
    }

    /// Opens partition `number` as its leader.
    func open(
        _ number: Int32 = 0, epoch: Int32 = 1, _ configuration: LogConfiguration = LogConfiguration.suite
    ) async throws -> any PartitionLog {
        let log = try await engine.apply(assignment(number, epoch: epoch), configuration: configuration)
        return try unwrap(log, "a leader has a log")
    }

    enum Ending: String, CaseIterable, Sendable {
        case shutdown
        case kill
        case powerCut
    }

    /// Ends the engine and starts another on the same storage, the partitions not yet opened.
    func restart(after ending: Ending) async throws {
        let old = engine
        switch ending {
        case .shutdown: await old.shutdown()
        case .kill: try await subject.kill(old)
        case .powerCut: try await subject.cutPower(old)
        }
        let new = try await subject.makeEngine()
        try await new.start()
        current.withLock { $0 = new }
    }

    /// Appends and waits for the acknowledgement.
    @discardableResult
    func append(
        _ batches: RecordBatches, to log: any PartitionLog, acks: RequiredAcks = .all, epoch: LeaderEpoch? = nil
    ) async throws -> AppendReceipt {
        let receipt = try log.append(batches, acks: acks, epoch: epoch)
        try await acknowledged(receipt)
        return receipt
    }

    /// Returns once `receipt` is acknowledged. Thirty seconds without one is a broken promise.
    func acknowledged(_ receipt: AppendReceipt) async throws {
        try await eventually("the append of \(receipt.range) is acknowledged") { receipt.durable.outcome != nil }
        try receipt.durable.outcome!.get()
    }

    /// Every batch that lies in `from` up to `bound`, by as many reads as it takes.
    func readAll(
        _ log: any PartitionLog, from start: Offset? = nil, bound: ReadBound = .highWatermark, maxBytes: () -> Int = { 1 << 20 }
    ) async throws -> [StoredBatch] {
        var offset = start ?? log.offsets.logStart
        var all: [StoredBatch] = []
        while true {
            let batches = try await read(log, from: offset, maxBytes: maxBytes(), bound: bound)
            guard let last = batches.last else { return all }
            all += batches
            offset = last.header.endOffset
        }
    }

    /// One read, its batches verified; a cut-off last one is dropped.
    func read(
        _ log: any PartitionLog, from offset: Offset, maxBytes: Int = 1 << 20, minOneBatch: Bool = true,
        bound: ReadBound = .highWatermark, epoch: LeaderEpoch? = nil
    ) async throws -> [StoredBatch] {
        let result = try await log.read(
            from: offset, maxBytes: maxBytes, minOneBatch: minOneBatch, bound: bound, reader: .consumer, currentLeaderEpoch: epoch)
        try demand(result.divergingEpoch == nil, "a consumer's read never diverges")
        let batches = try StoredBatch.parse(try result.records.contiguous())
        if let first = batches.first?.header {
            try demand(
                first.baseOffset <= offset && offset < first.endOffset,
                "a read from \(offset) begins with the batch that holds it, not \(first.baseOffset)..<\(first.endOffset)")
        }
        return batches
    }

    /// Waits for a condition that another thread brings about.
    func eventually(
        _ promise: String, file: StaticString = #fileID, line: UInt = #line, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        var pause = Duration.microseconds(50)
        for _ in 0..<20 {
            if try await condition() { return }
            await Task.yield()
        }
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw ConformanceFailure("never: \(promise)", file: file, line: line) }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .milliseconds(10))
        }
    }
}

extension LogConfiguration {
    /// The defaults, but keeping everything: the suite's records carry times of 1970.
    static var suite: LogConfiguration {
        var configuration = LogConfiguration()
        configuration.retentionTime = nil
        return configuration
    }
}

func demand(_ holds: Bool, _ promise: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line) throws {
    if !holds { throw ConformanceFailure(promise(), file: file, line: line) }
}

func demandEqual<Value: Equatable>(
    _ answer: Value, _ expected: Value, _ what: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) throws {
    if answer != expected { throw ConformanceFailure("\(what()): \(answer), expected \(expected)", file: file, line: line) }
}

func unwrap<Value>(
    _ value: Value?, _ promise: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) throws -> Value {
    guard let value else { throw ConformanceFailure(promise(), file: file, line: line) }
    return value
}

/// Demands a ``LogError`` with one of `codes`.
func demandRefusal<Value>(
    _ codes: LogError.Code..., of what: String, file: StaticString = #fileID, line: UInt = #line,
    _ body: () async throws -> Value
) async throws {
    do {
        _ = try await body()
    } catch let error as LogError {
        guard codes.contains(error.code) else {
            throw ConformanceFailure("\(what) is refused with \(codes), not \(error.code): \(error)", file: file, line: line)
        }
        return
    }
    throw ConformanceFailure("\(what) is refused with \(codes), not done", file: file, line: line)
}
