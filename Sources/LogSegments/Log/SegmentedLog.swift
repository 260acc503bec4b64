//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import RuntimeEnvironment
internal import Synchronization

/// What a partition's segments follow: the part of its topic's settings that is about files.
package struct SegmentSettings: Sendable, Hashable {
    /// `segment.bytes`
    package var segmentBytes: Int64 = 1 << 30
    /// `segment.ms`
    package var segmentAge: Duration = .seconds(7 * 86_400)
    /// `index.interval.bytes`
    package var indexIntervalBytes: Int64 = 4096
    /// `segment.index.bytes`
    package var segmentIndexBytes: Int64 = 10 << 20
    /// `file.delete.delay.ms`
    package var fileDeleteDelay: Duration = .seconds(60)

    package init() {}
}

/// The log of one partition in Kafka's files. It knows segments, offsets, epochs and producers, and nothing of replicas.
///
/// What changes files (append, roll, truncate, remove, close) is called on one worker only, the log directory's; reading is safe from
/// any thread. Calls that may touch the disk block.
package final class SegmentedLog: Sendable {
    /// A transaction that has ended, but whose end may not be on all replicas yet.
    struct EndedTransaction {
        var firstOffset: Offset
        /// Inclusive: the marker's.
        var lastOffset: Offset
    }

    struct State {
        var settings: SegmentSettings
        /// Rising base offsets, never empty; the last is active.
        var segments: [LogSegment]
        var logStart: Offset
        /// Exclusive end of what is written and readable.
        var logEnd: Offset
        var epochs: EpochHistory
        /// Up to `logEnd`.
        var producers: ProducerStates
        /// First offset by producer id.
        var openTransactions: [Int64: Offset] = [:]
        /// By last offset.
        var endedTransactions: [EndedTransaction] = []
        /// Everything below is synced.
        var recoveryPoint: Offset
        /// How often the log's end has been cut.
        var cuts = 0
        /// Bytes of all `.log` files.
        var sizeInBytes: Int64
        var removedFiles: [RemovedFile] = []
        /// The epoch file lacks the latest change.
        var epochsAreDirty = false
        /// The epoch file holds changes that no sync has covered.
        var epochsNeedSync = false
        /// A segment was sealed since sealed ones were last synced.
        var sealedNeedSync = false
        /// See ``LogOpening/identityNeedsSync``.
        var identityNeedsSync = false
        var isClosed = false
    }

    /// A file renamed for removal.
    struct RemovedFile {
        var path: String
        var size: Int64
        var removeAt: MonotonicInstant
    }

    package let disk: any Disk
    /// Relative to the disk.
    package let directory: String
    /// nil keeps nothing in memory.
    let tail: TailCache?
    let state: Mutex<State>

    init(disk: any Disk, directory: String, tail: TailCache?, state: consuming State) {
        self.disk = disk
        self.directory = directory
        self.tail = tail
        self.state = Mutex(state)
    }

    package var logStart: Offset { state.withLock { $0.logStart } }
    /// Exclusive end of what is written.
    package var logEnd: Offset { state.withLock { $0.logEnd } }
    /// Of the first segment, or the log start where that lies within it.
    package var localStart: Offset { state.withLock { max($0.segments[0].baseOffset, $0.logStart) } }
    /// First record of the oldest transaction that has not ended; nil if none is open.
    package var firstOpenTransaction: Offset? { state.withLock { $0.openTransactions.values.min() } }
    /// Everything below is synced, and the indexes of the segments that lie wholly below.
    package var recoveryPoint: Offset {
        state.withLock { state in
            guard let behind = state.segments.first(where: { $0.isSealedAndUnsynchronized }) else { return state.recoveryPoint }
            return min(state.recoveryPoint, behind.endOffset - 1)
        }
    }
    package var epochs: EpochHistory { state.withLock { $0.epochs } }
    package var producers: ProducerStates { state.withLock { $0.producers } }
    /// Of all `.log` files.
    package var sizeInBytes: Int64 { state.withLock { $0.sizeInBytes } }
    /// Closed or abandoned: nothing more is written.
    package var isClosed: Bool { state.withLock { $0.isClosed } }
    package var segments: [LogSegment] { state.withLock { $0.segments } }
    package var settings: SegmentSettings {
        get { state.withLock { $0.settings } }
        set { state.withLock { $0.settings = newValue } }
    }

    /// The offsets that a reader's answer needs, taken together.
    package struct Ends: Sendable {
        package var logStart: Offset
        package var localStart: Offset
        package var logEnd: Offset
        /// First record of the oldest transaction that is open, or whose end lies at or above the high watermark; nil for none.
        package var firstUnstable: Offset?
    }

    /// - Parameter highWatermark: Ends of transactions below it are final and forgotten.
    package func ends(highWatermark: Offset) -> Ends {
        state.withLock { state in
            while let ended = state.endedTransactions.first, ended.lastOffset < highWatermark {
                state.endedTransactions.removeFirst()
            }
            var unstable = state.openTransactions.isEmpty ? nil : state.openTransactions.values.min()
            for ended in state.endedTransactions { unstable = min(unstable ?? ended.firstOffset, ended.firstOffset) }
            return Ends(
                logStart: state.logStart, localStart: max(state.segments[0].baseOffset, state.logStart), logEnd: state.logEnd,
                firstUnstable: unstable)
        }
    }

    /// Indexes and files of sealed segments that nobody used since the last call are let go, and the tail in memory of a log that did not
    /// grow.
    package func letGoOfUnused() { for segment in segments { segment.letGoIfUnused() } }
}

extension SegmentedLog.State {
    /// Notes what a written batch says of epochs, producers and transactions.
    ///
    /// - Parameter control: The record of a control batch.
    /// - Returns: The aborted transaction that the batch ends.
    mutating func note(_ header: RecordBatchHeader, control: ControlRecord?) -> TransactionIndex.Entry? {
        // Epochs only grow along a log; an older one is what compaction left of a longer history.
        if header.partitionLeaderEpoch > epochs.latest?.epoch ?? .none {
            if epochs.append(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset) { epochsAreDirty = true }
        }
        guard header.hasProducerID else { return nil }
        producers.record(header, coordinatorEpoch: control?.coordinatorEpoch)
        guard header.isControl else {
            if header.isTransactional, openTransactions[header.producerID] == nil {
                openTransactions[header.producerID] = header.baseOffset
            }
            return nil
        }
        guard let first = openTransactions.removeValue(forKey: header.producerID) else { return nil }
        endedTransactions.append(SegmentedLog.EndedTransaction(firstOffset: first, lastOffset: header.lastOffset))
        guard control?.kind == .abort else { return nil }
        return TransactionIndex.Entry(
            producerID: header.producerID, firstOffset: first, lastOffset: header.lastOffset,
            lastStableOffset: openTransactions.values.min() ?? header.lastOffset + 1)
    }

    /// Takes over what is known of the producers, and which transactions are open by it.
    mutating func adopt(_ producers: ProducerStates) {
        self.producers = producers
        openTransactions = [:]
        endedTransactions = []
        for entry in producers.entries { if let start = entry.transactionStart { openTransactions[entry.producerID] = start } }
    }
}
