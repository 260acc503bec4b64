//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

/// What one log knows of the idempotent producers that wrote to it (KIP-98): enough to recognise a retry and to refuse a gap.
///
/// A leader calls ``check(_:)-(RecordBatches)`` before it assigns offsets and ``record(_:)`` after; a follower and a recovery scan only
/// record. A value: keep it inside the log's own lock or confinement.
public struct ProducerStates: Sendable, Hashable {
    /// A batch as remembered.
    public struct Batch: Sendable, Hashable, Codable {
        public var baseSequence: Int32
        /// Inclusive.
        public var lastSequence: Int32
        public var baseOffset: Offset
        /// Inclusive.
        public var lastOffset: Offset
        public var timestamp: Timestamp

        public init(baseSequence: Int32, lastSequence: Int32, baseOffset: Offset, lastOffset: Offset, timestamp: Timestamp) {
            self.baseSequence = baseSequence
            self.lastSequence = lastSequence
            self.baseOffset = baseOffset
            self.lastOffset = lastOffset
            self.timestamp = timestamp
        }
    }

    public struct Entry: Sendable, Hashable, Codable {
        public var producerID: Int64
        public var epoch: Int16
        /// The last of this epoch, oldest first, at most ``batchesRemembered``. Empty after a transaction's end marker alone.
        public var batches: [Batch]
        /// Of the last batch or marker.
        public var lastTimestamp: Timestamp
        /// Of the transaction coordinator that wrote the last marker; -1 for none.
        public var coordinatorEpoch: Int32
        /// First record of the transaction that is open; nil for none.
        public var transactionStart: Offset?

        public init(
            producerID: Int64, epoch: Int16, batches: [Batch], lastTimestamp: Timestamp, coordinatorEpoch: Int32 = -1,
            transactionStart: Offset? = nil
        ) {
            self.producerID = producerID
            self.epoch = epoch
            self.batches = batches
            self.lastTimestamp = lastTimestamp
            self.coordinatorEpoch = coordinatorEpoch
            self.transactionStart = transactionStart
        }
    }

    public enum Verdict: Sendable, Hashable {
        case accept
        /// Written before, with these offsets (half-open): answer with them and write nothing.
        case duplicate(Range<Offset>)
    }

    /// Kafka's number: a producer may have five requests in flight.
    public static let batchesRemembered = 5

    private var states: [Int64: Entry] = [:]

    public init() {}

    public init(entries: some Sequence<Entry>) {
        for entry in entries { states[entry.producerID] = entry }
    }

    /// All producers, by rising id.
    public var entries: [Entry] { states.values.sorted { $0.producerID < $1.producerID } }
    public var count: Int { states.count }
    public subscript(producerID: Int64) -> Entry? { states[producerID] }

    /// First record of the oldest open transaction: the last stable offset cannot pass it. nil if none is open.
    public var firstOpenTransaction: Offset? { states.values.lazy.compactMap(\.transactionStart).min() }

    /// Whether a client's batch may be written now. Changes nothing. Batches without a producer id are always accepted.
    ///
    /// A producer this log does not know (never seen, expired) may begin at any sequence.
    /// - Throws: ``LogError/Code/invalidProducerEpoch`` for an epoch older than the known one; ``LogError/Code/outOfOrderSequence`` for a gap,
    ///   for a new epoch that does not begin at 0, and, as in Kafka, for a repetition older than the batches remembered;
    ///   ``LogError/Code/invalidRecord`` for a producer id without a sequence.
    public func check(_ header: RecordBatchHeader) throws(LogError) -> Verdict {
        guard header.hasProducerID, !header.isControl else { return .accept }
        guard header.producerEpoch >= 0, header.baseSequence >= 0 else {
            throw LogError(
                .invalidRecord, "producer \(header.producerID) sent a batch with its id but without an epoch or a sequence")
        }
        guard let state = states[header.producerID] else { return .accept }
        guard header.producerEpoch >= state.epoch else {
            throw LogError(
                .invalidProducerEpoch,
                "producer \(header.producerID) sent epoch \(header.producerEpoch); a newer instance has epoch \(state.epoch)")
        }
        guard header.producerEpoch == state.epoch else {
            guard header.baseSequence == 0 else {
                throw outOfOrder(header, "a new epoch begins at sequence 0")
            }
            return .accept
        }
        for batch in state.batches
        where batch.baseSequence == header.baseSequence && batch.lastSequence == header.lastSequence {
            return .duplicate(batch.baseOffset..<(batch.lastOffset + 1))
        }
        guard let last = state.batches.last else {
            guard header.baseSequence == 0 else { throw outOfOrder(header, "the epoch has no records yet, so 0 is expected") }
            return .accept
        }
        let expected = RecordBatchHeader.sequence(last.lastSequence, plus: 1)
        guard header.baseSequence == expected else { throw outOfOrder(header, "\(expected) is expected") }
        return .accept
    }

    /// ``check(_:)-(RecordBatchHeader)`` for all batches of one append, each seeing those before it.
    ///
    /// - Returns: `duplicate` if any of them is one, as Kafka does: a produce request holds one batch per partition.
    public func check(_ batches: RecordBatches) throws(LogError) -> Verdict {
        if batches.entries.count == 1 { return try check(batches.entries[0].header) }
        var scratch = ProducerStates()
        for entry in batches.entries where entry.header.hasProducerID {
            scratch.states[entry.header.producerID] = states[entry.header.producerID]
        }
        for entry in batches.entries {
            let verdict = try scratch.check(entry.header)
            guard verdict == .accept else { return verdict }
            scratch.record(entry.header)
        }
        return .accept
    }

    /// Remembers a batch that has its offsets. Never refuses: what is in the log is true.
    ///
    /// A control batch ends the producer's transaction; `coordinatorEpoch` is from its record's value.
    public mutating func record(_ header: RecordBatchHeader, coordinatorEpoch: Int32? = nil) {
        guard header.hasProducerID else { return }
        func note(_ entry: inout Entry) {
            if entry.epoch != header.producerEpoch {
                entry.epoch = header.producerEpoch
                entry.batches.removeAll(keepingCapacity: true)
            }
            entry.lastTimestamp = header.maxTimestamp
            if header.isControl {
                entry.transactionStart = nil
                if let coordinatorEpoch { entry.coordinatorEpoch = coordinatorEpoch }
                return
            }
            if header.isTransactional {
                if entry.transactionStart == nil { entry.transactionStart = header.baseOffset }
            }
            guard header.baseSequence >= 0 else { return }
            if entry.batches.count >= Self.batchesRemembered { entry.batches.removeFirst() }
            entry.batches.append(
                Batch(
                    baseSequence: header.baseSequence, lastSequence: header.lastSequence, baseOffset: header.baseOffset,
                    lastOffset: header.lastOffset, timestamp: header.maxTimestamp))
        }
        note(
            &states[
                header.producerID,
                default: Entry(
                    producerID: header.producerID, epoch: header.producerEpoch, batches: [], lastTimestamp: header.maxTimestamp)])
    }

    /// ``record(_:coordinatorEpoch:)`` for all batches, offsets assigned.
    public mutating func record(_ batches: RecordBatches) {
        for entry in batches.entries { record(entry.header) }
    }

    /// The log was cut: forgets batches with a record at or after `endOffset`, and producers with none left.
    ///
    /// Only as exact as five batches allow: a log that keeps snapshots restores the latest at or before `endOffset` and records from there.
    public mutating func truncate(to endOffset: Offset) {
        for (producerID, var entry) in states {
            let count = entry.batches.count
            entry.batches.removeAll { $0.lastOffset >= endOffset }
            if let start = entry.transactionStart, start >= endOffset { entry.transactionStart = nil }
            if entry.batches.isEmpty, count > 0 {
                states[producerID] = nil
            } else {
                entry.lastTimestamp = entry.batches.last?.timestamp ?? entry.lastTimestamp
                states[producerID] = entry
            }
        }
    }

    /// Forgets producers whose last batch is older than `time` and that have no open transaction (`producer.id.expiration.ms`).
    public mutating func removeExpired(before time: Timestamp) {
        states = states.filter { $0.value.lastTimestamp >= time || $0.value.transactionStart != nil }
    }

    private func outOfOrder(_ header: RecordBatchHeader, _ reason: String) -> LogError {
        LogError(
            .outOfOrderSequence,
            "producer \(header.producerID), epoch \(header.producerEpoch), sent sequence \(header.baseSequence): \(reason)")
    }
}
