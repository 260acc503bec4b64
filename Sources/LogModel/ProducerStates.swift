//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What one log knows of the idempotent producers that wrote to it (KIP-98): enough to recognise a retry and to refuse a gap.
///
/// A leader asks `check(_:)` (in `LogEngine`, as it refuses with that module's errors) before it assigns offsets and calls ``record(_:)``
/// after; a follower and a recovery scan only record. A value: keep it inside the log's own lock or confinement.
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
        // Nearly always none, and then nothing is copied.
        for (producerID, entry) in states where entry.lastTimestamp < time && entry.transactionStart == nil {
            states[producerID] = nil
        }
    }
}
