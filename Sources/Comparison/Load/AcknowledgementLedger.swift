//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Synchronization

/// Every record this process had acknowledged, by topic, producer and partition, with what is needed to know it again.
package final class AcknowledgementLedger: Sendable {
    package struct Key: Hashable, Sendable {
        package var producer: UInt32
        package var partition: Int32

        package init(producer: UInt32, partition: Int32) {
            self.producer = producer
            self.partition = partition
        }
    }

    private struct State {
        var acknowledged: [String: [Key: SequenceRanges]] = [:]
        var templates: [UInt32: [BatchTemplate]] = [:]
        var producers: UInt32 = 0
    }

    /// Tells this process's records from those of any other.
    package let run: UInt32
    private let state = Mutex(State())

    package init(run: UInt32) { self.run = run }

    /// A number for a new producer, whose payload is `templates`.
    package func register(_ templates: [BatchTemplate]) -> UInt32 {
        state.withLock { state in
            state.producers += 1
            state.templates[state.producers] = templates
            return state.producers
        }
    }

    package func acknowledged(_ sequences: Range<Int64>, topic: String, by key: Key) {
        _ = state.withLock { $0.acknowledged[topic, default: [:]][key, default: SequenceRanges()].insert(sequences) }
    }

    package func acknowledged(topic: String) -> [Key: SequenceRanges] { state.withLock { $0.acknowledged[topic] ?? [:] } }
    package var templates: [UInt32: [BatchTemplate]] { state.withLock { $0.templates } }

    /// What is laid out differently has its identity elsewhere: one template for each place it may be in.
    package var layouts: [BatchTemplate] {
        var byHead: [Int: BatchTemplate] = [:]
        for template in templates.values.joined() { byHead[template.headBytes] = template }
        return byHead.values.sorted { $0.headBytes < $1.headBytes }
    }
}
