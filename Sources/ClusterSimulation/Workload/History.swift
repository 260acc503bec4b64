//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel

/// What clients sent, were told and saw of one partition, and what must hold of it. Touched on the loop's thread only.
final class PartitionHistory: @unchecked Sendable {
    struct Seen: Hashable {
        var value: String
        var epoch: Int32
    }

    private struct Sent {
        var attempts = 0
        /// Where it lies, as the acknowledgement said; nil before, -1 where it did not say.
        var offset: Int64?
        /// Who acknowledged it.
        var broker: Int32?
    }

    let name: String
    private var sent: [String: Sent] = [:]
    /// By offset, from 0 on.
    private var seen: [Seen] = []
    private(set) var acknowledgedCount = 0

    init(name: String) { self.name = name }

    /// The end of what anybody has read.
    var seenEnd: Int64 { Int64(seen.count) }

    /// The end of what was read or acknowledged: a log that is whole reaches it.
    var knownEnd: Int64 { max(seenEnd, acknowledgedEnd) }
    private var acknowledgedEnd: Int64 = 0

    // MARK: Producing

    func sending(_ values: [String]) { for value in values { sent[value, default: Sent()].attempts += 1 } }

    func wasSent(_ value: String) -> Bool { sent[value] != nil }

    func acknowledged(_ values: [String], at base: Int64, by broker: Int32) throws {
        for (index, value) in values.enumerated() {
            let offset = base < 0 ? -1 : base + Int64(index)
            sent[value]?.offset = offset
            sent[value]?.broker = broker
            acknowledgedCount += 1
            acknowledgedEnd = max(acknowledgedEnd, offset + 1)
            guard offset >= 0, offset < seenEnd else { continue }
            guard seen[Int(offset)].value == value else {
                throw Violation(
                    .committedIsStable,
                    "\(name): \(value) was acknowledged at \(offset), where \(seen[Int(offset)].value) had been read")
            }
        }
    }

    // MARK: Losing

    /// How often what was acknowledged may have been lost. Clients that notice begin anew.
    private(set) var losses = 0

    /// All brokers have lost what was not on their disks: from `end` on the log may be another now.
    ///
    /// - Returns: Whether anything known lies there.
    @discardableResult
    func mayHaveLost(from end: Int64) -> Bool {
        losses += 1
        let isLoss = end < knownEnd
        if end < seenEnd { seen.removeSubrange(Int(max(end, 0))...) }
        acknowledgedEnd = min(acknowledgedEnd, end)
        // One without an offset was a duplicate of a batch that lies nobody told where.
        for (value, one) in sent where one.offset.map({ $0 < 0 || $0 >= end }) ?? false { sent[value]?.offset = nil }
        return isLoss
    }

    /// Sent again under other sequence numbers, since a broker had forgotten whether it has them: they may lie there twice.
    private var repeated: Set<String> = []
    func mayRepeat(_ values: [String]) { repeated.formUnion(values) }

    /// Whether it was sent before, so that it may lie there though nobody said so.
    func wasSentBefore(_ value: String) -> Bool { (sent[value]?.attempts ?? 0) > 1 }

    // MARK: Reading

    /// A consumer at `position` was given records.
    ///
    /// - Returns: Its next position.
    func read(_ records: [(offset: Int64, value: String, epoch: Int32)], from position: Int64, by reader: String) throws -> Int64 {
        var next = position
        for (offset, value, epoch) in records {
            if offset < position {
                // The first batch may begin before what was asked for.
                try look(offset, value, epoch, reader)
                continue
            }
            guard offset == next else {
                throw Violation(.offsetsAreDense, "\(name): \(reader) wanted \(next) and was given \(offset) (\(value))")
            }
            try look(offset, value, epoch, reader)
            next += 1
        }
        return next
    }

    private func look(_ offset: Int64, _ value: String, _ epoch: Int32, _ reader: String) throws {
        if offset < seenEnd {
            let before = seen[Int(offset)]
            guard before == Seen(value: value, epoch: epoch) else {
                throw Violation(
                    .committedIsStable,
                    "\(name): \(reader) read \(value) (epoch \(epoch)) at \(offset), where \(before.value) (epoch \(before.epoch)) had been read"
                )
            }
            return
        }
        guard offset == seenEnd else {
            throw Violation(.offsetsAreDense, "\(name): \(reader) read \(offset), and nobody has read \(seenEnd)")
        }
        guard let sent = sent[value] else {
            throw Violation(.honest, "\(name): \(reader) read \(value) at \(offset), which nobody sent")
        }
        if let told = sent.offset, told >= 0, told != offset, !repeated.contains(value) {
            throw Violation(.acknowledgedSurvives, "\(name): \(value) was acknowledged at \(told), and lies at \(offset)")
        }
        if let last = seen.last, last.epoch > epoch {
            throw Violation(.oneWriterPerEpoch, "\(name): epoch \(epoch) at \(offset) follows epoch \(last.epoch)")
        }
        seen.append(Seen(value: value, epoch: epoch))
    }

    // MARK: At the end

    /// Holds the whole log, as read from its start to its end, against what was sent.
    ///
    /// - Parameter leaders: Who led each epoch.
    func check(leaders: [Int32: Int32]) throws {
        var places: [String: Int64] = [:]
        var lastOf: [Substring: Int] = [:]
        for (offset, record) in seen.enumerated() {
            if let first = places.updateValue(Int64(offset), forKey: record.value), !repeated.contains(record.value) {
                throw Violation(.offsetsAreDense, "\(name): \(record.value) lies at \(first) and again at \(offset)")
            }
            let parts = record.value.split(separator: " ")
            guard parts.count >= 2, let number = Int(parts[1]) else {
                throw Violation(.honest, "\(name): \(record.value) at \(offset) is no record of ours")
            }
            if repeated.contains(record.value) { continue }
            if let last = lastOf.updateValue(number, forKey: parts[0]), last >= number {
                throw Violation(.producerOrder, "\(name): \(record.value) at \(offset) comes after number \(last)")
            }
        }
        for (value, sent) in sent.sorted(by: { $0.key < $1.key }) {
            guard let told = sent.offset else { continue }
            guard let place = places[value] else {
                throw Violation(.acknowledgedSurvives, "\(name): \(value) was acknowledged at \(told) and is not there")
            }
            let epoch = seen[Int(place)].epoch
            if sent.attempts == 1, let leader = leaders[epoch], let broker = sent.broker, leader != broker {
                throw Violation(
                    .oneWriterPerEpoch, "\(name): \(value) lies in epoch \(epoch), led by \(leader), and \(broker) acknowledged it")
            }
        }
    }
}

/// Who led which epoch of which partition, from the metadata store itself. Touched on the loop's thread only.
final class LeaderHistory: @unchecked Sendable {
    private var leaders: [String: [Int32: Int32]] = [:]

    func leads(_ broker: Int32, _ epoch: Int32, of partition: String) throws {
        if let other = leaders[partition, default: [:]].updateValue(broker, forKey: epoch), other != broker {
            throw Violation(.oneWriterPerEpoch, "\(partition): epoch \(epoch) was given to \(other) and to \(broker)")
        }
    }

    subscript(partition: String) -> [Int32: Int32] { leaders[partition] ?? [:] }
}
