//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// What one producer owes one partition: records due and not in a batch, and batches sent and not acknowledged.
///
/// Batches are sent again in their order: once one has failed, nothing new goes out, those still under way are awaited, and then
/// the failed ones are sent one at a time. So a producer never reorders its own records.
struct PartitionQueue {
    struct Batch {
        enum State {
            case sent
            /// Failed; to be sent again.
            case waiting
        }

        var id: UInt64
        var state: State
        var firstSequence: Int64
        var records: Int
        /// In the broker's count of an idempotent producer's batches.
        var brokerSequence: Int32
        /// Where the intended times are; the counts add up to `records`.
        var due: [DueRecords]
        var slices: LogSlices
        var bytes: Int
        var firstSentNanoseconds: Int64
        var identity: RecordIdentity
    }

    let partition: Int32
    private(set) var due = CircularBuffer<DueRecords>()
    private(set) var dueRecords = 0
    private(set) var batches = CircularBuffer<Batch>()
    var nextSequence: Int64 = 0
    var nextBrokerSequence: Int32 = 0
    /// Nothing is sent before this.
    var notBeforeNanoseconds: Int64 = 0

    init(partition: Int32) { self.partition = partition }

    var isEmpty: Bool { dueRecords == 0 && batches.isEmpty }
    var hasFailed: Bool { batches.contains { $0.state == .waiting } }

    mutating func add(_ records: DueRecords) {
        dueRecords += records.count
        // The parts of one batch come in pieces; joined, they are one run of even times again.
        if let last = due.last, last.intervalNanoseconds == records.intervalNanoseconds,
            abs(last.intended(last.count) - records.intendedNanoseconds) <= 1
        {
            due[due.index(before: due.endIndex)].count += records.count
        } else {
            due.append(records)
        }
    }

    /// Takes at most `max` due records, for a new batch.
    mutating func takeDue(max: Int) -> [DueRecords] {
        var taken: [DueRecords] = []
        var left = max
        while left > 0, let first = due.first {
            if first.count <= left {
                taken.append(first)
                due.removeFirst()
                left -= first.count
            } else {
                var part = first
                part.count = left
                taken.append(part)
                due[due.startIndex] = first.dropFirst(left)
                left = 0
            }
        }
        dueRecords -= max - left
        return taken
    }

    enum NextSend {
        /// The batch at this position goes out again.
        case again(Int)
        case new
        case nothing
    }

    /// What may be sent now.
    func sendable(at now: Int64, batchesMax: Int, hasDueBatch: Bool) -> NextSend {
        guard now >= notBeforeNanoseconds else { return .nothing }
        if hasFailed { return batches.contains { $0.state == .sent } ? .nothing : .again(0) }
        return hasDueBatch && batches.count < batchesMax ? .new : .nothing
    }

    mutating func append(_ batch: Batch) { batches.append(batch) }
    subscript(position: Int) -> Batch {
        get { batches[batches.index(batches.startIndex, offsetBy: position)] }
        set { batches[batches.index(batches.startIndex, offsetBy: position)] = newValue }
    }

    /// Removes the batch, which is acknowledged or given up; nil if it is not there any more.
    mutating func remove(_ id: UInt64) -> Batch? {
        guard let index = batches.firstIndex(where: { $0.id == id }) else { return nil }
        return batches.remove(at: index)
    }

    /// Marks the batch for sending again.
    mutating func failed(_ id: UInt64) {
        guard let index = batches.firstIndex(where: { $0.id == id }) else { return }
        batches[index].state = .waiting
    }

    /// Whether `id` is the oldest batch not acknowledged.
    func isFirst(_ id: UInt64) -> Bool { batches.first?.id == id }
}
