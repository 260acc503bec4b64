//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Records that follow each other in one partition at even intended times.
package struct DueRecords: Hashable, Sendable {
    /// Of the first, on the monotonic clock.
    package var intendedNanoseconds: Int64
    package var intervalNanoseconds: Double
    package var count: Int

    package init(intendedNanoseconds: Int64, intervalNanoseconds: Double, count: Int) {
        self.intendedNanoseconds = intendedNanoseconds
        self.intervalNanoseconds = intervalNanoseconds
        self.count = count
    }

    /// The intended time of record `index`.
    package func intended(_ index: Int) -> Int64 { intendedNanoseconds + Int64(intervalNanoseconds * Double(index)) }

    package func dropFirst(_ dropped: Int) -> DueRecords {
        DueRecords(
            intendedNanoseconds: intended(dropped), intervalNanoseconds: intervalNanoseconds, count: count - dropped)
    }
}

/// An open-loop schedule: record n is meant to be sent at start + n × interval, whatever became of those before.
///
/// Records are put into batches as a Kafka producer without keys does it: all into one partition until the batch is full or its
/// first record has waited for `linger`, then the next partition's turn comes (KIP-794).
package struct SendSchedule: Sendable {
    package let partitionCount: Int
    package let recordsPerBatchMax: Int
    package let lingerNanoseconds: Int64

    /// Nothing falls due at this time or after it.
    package var endNanoseconds: Int64 = .max

    private var startNanoseconds: Int64
    private var intervalNanoseconds: Double
    private var issued: Int64 = 0
    private var turn: Int
    /// Of the batch being filled, in the partition whose turn it is.
    private var openRecords = 0
    private var openSince: Int64 = 0

    package init(
        recordsPerSecond: Double, partitionCount: Int, firstPartition: Int = 0, recordsPerBatchMax: Int, linger: Duration,
        startNanoseconds: Int64
    ) {
        precondition(
            recordsPerSecond > 0 && partitionCount > 0 && recordsPerBatchMax > 0,
            "a schedule has records and somewhere to send them")
        self.partitionCount = partitionCount
        self.recordsPerBatchMax = recordsPerBatchMax
        self.lingerNanoseconds = linger.components.seconds * 1_000_000_000 + linger.components.attoseconds / 1_000_000_000
        self.startNanoseconds = startNanoseconds
        self.intervalNanoseconds = 1e9 / recordsPerSecond
        self.turn = firstPartition % partitionCount
    }

    /// Goes on at another rate from `now`. What was due before stays due; the new schedule owes nothing.
    package mutating func changeRate(recordsPerSecond: Double, at now: Int64) {
        precondition(recordsPerSecond > 0, "a schedule has records")
        startNanoseconds = now
        issued = 0
        intervalNanoseconds = 1e9 / recordsPerSecond
    }

    /// Hands out the records that have fallen due by `now`, by partition index.
    package mutating func takeDue(at now: Int64, _ take: (_ partition: Int, DueRecords) -> Void) {
        closeIfLingered(at: now)
        let last = min(now, endNanoseconds - 1)
        guard last >= startNanoseconds else { return }
        var due = Int64(Double(last - startNanoseconds) / intervalNanoseconds) + 1 - issued
        while due > 0 {
            let intended = startNanoseconds + Int64(intervalNanoseconds * Double(issued))
            if openRecords > 0, intended - openSince >= lingerNanoseconds { close() }
            if openRecords == 0 { openSince = intended }
            let room = recordsPerBatchMax - openRecords
            let beforeLingerEnds = max(
                1, Int((Double(lingerNanoseconds - (intended - openSince)) / intervalNanoseconds).rounded(.up)))
            let count = min(Int(due), room, beforeLingerEnds)
            take(turn, DueRecords(intendedNanoseconds: intended, intervalNanoseconds: intervalNanoseconds, count: count))
            openRecords += count
            issued += Int64(count)
            due -= Int64(count)
            if openRecords >= recordsPerBatchMax || lingerNanoseconds == 0 { close() }
        }
        closeIfLingered(at: now)
    }

    /// The partition whose last batch may still grow, which is therefore not sent yet.
    package var openPartition: Int? { openRecords > 0 ? turn : nil }

    /// How many of the records handed out for `partition` are in a batch that may still grow.
    package func openRecords(of partition: Int) -> Int { partition == turn ? openRecords : 0 }

    /// When to look again: the open batch is full or has waited enough, or the next record falls due.
    package var nextNanoseconds: Int64 {
        let next = startNanoseconds + Int64(intervalNanoseconds * Double(issued))
        guard openRecords > 0 else { return next }
        let full = next + Int64(intervalNanoseconds * Double(recordsPerBatchMax - openRecords - 1))
        return min(openSince + lingerNanoseconds, full)
    }

    private mutating func closeIfLingered(at now: Int64) {
        if openRecords > 0, now - openSince >= lingerNanoseconds { close() }
    }

    private mutating func close() {
        openRecords = 0
        turn = (turn + 1) % partitionCount
    }
}
