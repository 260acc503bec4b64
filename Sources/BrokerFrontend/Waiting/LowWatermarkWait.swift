//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// Waits until the logs of several partitions begin late enough on all live replicas (Kafka's DelayedDeleteRecords). Lives on one task.
final class LowWatermarkWait {
    typealias Place = (topic: Int, partition: Int)

    struct Outcome {
        var error: ErrorCode
        var lowWatermark: Offset
    }

    private struct Entry {
        var partition: PartitionID
        var target: Offset
        var place: Place
        var outcome: Outcome?
        /// The log start that a time-out tells.
        var lowWatermark = Offset(-1)
        /// Where a poke is to come from.
        var watchedAt: WatchList?
    }

    private let frontend: Frontend
    private let wait: FetchWait
    private var entries: [Entry] = []

    init(frontend: Frontend) {
        self.frontend = frontend
        wait = frontend.purgatory.makeWait()
    }

    func add(_ partition: PartitionID, target: Offset, place: Place) {
        entries.append(Entry(partition: partition, target: target, place: place))
    }

    func run(until deadline: MonotonicInstant) async -> [(Place, Outcome)] {
        for number in entries.indices { look(number) }
        if entries.contains(where: { $0.outcome == nil }) { await follow(until: deadline) }
        return entries.map { entry in
            (entry.place, entry.outcome ?? Outcome(error: .requestTimedOut, lowWatermark: entry.lowWatermark))
        }
    }

    private func follow(until deadline: MonotonicInstant) async {
        let round = wait.begin()
        let timer = frontend.timers.schedule(at: deadline) { [wait] in wait.end(round) }
        // Whoever dies is waited for no longer.
        let numbers = entries.indices
        let listener = frontend.metadata.onChange { [wait] update in
            if !update.diedBrokers.isEmpty { for number in numbers { wait.poke(number) } }
        }
        for number in numbers { watch(number) }
        while entries.contains(where: { $0.outcome == nil }), let poked = await wait.next() {
            for number in Set(poked) { watch(number) }
        }
        frontend.metadata.removeListener(listener)
        frontend.timers.cancel(timer)
        for entry in entries { entry.watchedAt?.remove(wait) }
    }

    /// Has the partition's progress told, and looks once more, for something may have come before.
    private func watch(_ number: Int) {
        guard entries[number].outcome == nil else { return }
        entries[number].watchedAt = frontend.purgatory.watch(entries[number].partition, wait, place: number)
        look(number)
    }

    private func look(_ number: Int) {
        guard entries[number].outcome == nil else { return }
        let partition = entries[number].partition
        let image = frontend.metadata.current
        do throws(LogError) {
            guard
                let log = try frontend.leading(topic: partition.topic, partition: partition.partition, clientEpoch: -1, image),
                log.partition == partition
            else {
                entries[number].outcome = Outcome(error: .unknownTopicOrPartition, lowWatermark: Offset(-1))
                return
            }
            let lowWatermark = try log.lowWatermark { image.broker($0) != nil }
            entries[number].lowWatermark = lowWatermark
            guard lowWatermark >= entries[number].target else { return }
            entries[number].outcome = Outcome(error: .none, lowWatermark: lowWatermark)
        } catch {
            entries[number].outcome = Outcome(error: ErrorCode(error), lowWatermark: Offset(-1))
        }
    }
}
