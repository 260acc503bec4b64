//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// What reading a topic over and over came to.
package struct RereadOutcome: Sendable {
    package var bytes: Int64
    package var seconds: Double
    package var loadCPUSeconds: Double
    /// Records in batches whose CRC was wrong.
    package var damaged: Int64
    package var firstFailure: String?
}

extension LoadGenerator {
    /// Reads a topic from start to end, again and again, for a time, with one fetch under way per leader.
    ///
    /// - Parameter counting: Called as the counted time begins, and as it ends.
    package func reread(
        topic: String, bootstrap: String, warmupSeconds: Double, seconds: Double, counting: () -> Void
    ) async throws -> RereadOutcome {
        let client = try client(bootstrap)
        let (view, partitions) = try await partitions(of: topic, client)
        let starts = try await offsets(of: topic, partitions, timestamp: -2, client)
        let ends = try await offsets(of: topic, partitions, timestamp: -1, client)
        guard zip(starts.sorted { $0.key < $1.key }, ends.sorted { $0.key < $1.key }).contains(where: { $0.value < $1.value })
        else {
            throw Failure("topic \(topic) holds nothing to read")
        }
        let (eventLoop, clock) = (group.next(), self.clock)
        let reader = await LoopBound(on: eventLoop) {
            RereadingConsumer(topic: topic, from: starts, until: ends, eventLoop: eventLoop, clock: clock, client: client)
        }
        await reader.run { $0.begin(view) }
        try await clock.sleep(for: .seconds(warmupSeconds))
        counting()
        let (start, cpu) = (clock.now(), ProcessCPU.own())
        _ = await reader.run { $0.takeCounts() }
        try await clock.sleep(for: .seconds(seconds))
        let counts = await reader.run { $0.takeCounts() }
        let outcome = RereadOutcome(
            bytes: counts.bytes, seconds: (clock.now() - start).inSeconds, loadCPUSeconds: ProcessCPU.own() - cpu,
            damaged: counts.damaged, firstFailure: counts.firstFailure)
        counting()
        await reader.run { $0.close() }
        return outcome
    }
}

/// Starts anew whenever it has read all. Confined to its loop.
private final class RereadingConsumer {
    private var consumer: LoadConsumer!
    private let starts: [Int32: Int64]
    private var bytes: Int64 = 0
    private var damaged: Int64 = 0

    init(
        topic: String, from: [Int32: Int64], until: [Int32: Int64], eventLoop: any EventLoop, clock: any Clock, client: KafkaClient
    ) {
        starts = from
        consumer = LoadConsumer(topic: topic, from: from, until: until, eventLoop: eventLoop, clock: clock, client: client) {
            [unowned self] batch in
            bytes += Int64(batch.header.sizeInBytes)
            if batch.isDamaged { damaged += Int64(batch.header.recordCount) }
        }
    }

    func begin(_ view: ClusterView) {
        again()
        consumer.begin(view)
    }

    func readOnce(_ view: ClusterView, _ body: @escaping () -> Void) {
        consumer.whenRead(body)
        consumer.begin(view)
    }

    private func again() {
        consumer.whenRead { [self] in
            guard !consumer.isClosed else { return }
            consumer.seek(to: starts)
            again()
        }
    }

    func takeCounts() -> (bytes: Int64, damaged: Int64, firstFailure: String?) {
        defer { bytes = 0 }
        return (bytes, damaged, consumer.firstFailure)
    }

    func close() { consumer.close() }
}

extension LoadGenerator {
    /// Reads a topic once from start to end.
    package func readThrough(topic: String, bootstrap: String) async throws -> (bytes: Int64, seconds: Double) {
        let client = try client(bootstrap)
        let (view, partitions) = try await partitions(of: topic, client)
        let starts = try await offsets(of: topic, partitions, timestamp: -2, client)
        let ends = try await offsets(of: topic, partitions, timestamp: -1, client)
        let (eventLoop, clock) = (group.next(), self.clock)
        let reader = await LoopBound(on: eventLoop) {
            RereadingConsumer(topic: topic, from: starts, until: ends, eventLoop: eventLoop, clock: clock, client: client)
        }
        let start = clock.now()
        await reader.wait { reader, done in reader.readOnce(view, done) }
        let seconds = (clock.now() - start).inSeconds
        let counts = await reader.run { reader in
            defer { reader.close() }
            return reader.takeCounts()
        }
        guard counts.damaged == 0 else { throw Failure("\(counts.damaged) records of \(topic) arrived with a wrong CRC") }
        return (counts.bytes, seconds)
    }
}
