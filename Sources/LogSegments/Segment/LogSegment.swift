//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// One `.log` file with its indexes. The last of a log is active: it alone is written, by the log's worker; all are read from any thread.
package final class LogSegment: Sendable {
    /// A batch of the active segment's tail, so that readers at the end of the log find their place without reading.
    struct RecentBatch {
        /// Exclusive.
        var endOffset: Offset
        var position: Int64
        /// As received, where there was room to keep them.
        var bytes: TailCache.Entry?
    }

    struct State {
        var file: SegmentFile?
        /// Bytes that readers may see.
        var size: Int64
        /// Exclusive. Of a sealed segment: the next one's base.
        var endOffset: Offset
        var isSealed: Bool
        /// nil until asked for (sealed), or where the last entry of the time index does not tell.
        var maxTimestamp: Timestamp?
        var offsetOfMaxTimestamp: Offset
        /// Of the first batch, which ages the segment; nil until known.
        var firstTimestamp: Timestamp?
        /// nil: not loaded.
        var offsets: OffsetIndex?
        var times: TimeIndex?
        /// nil: not loaded. Empty ones have no file.
        var transactions: TransactionIndex?
        /// Entries that are in the files.
        var offsetsStored = 0
        var timesStored = 0
        var transactionsStored = 0
        var bytesSinceIndexEntry: Int64 = 0
        /// By position; the last ends at `endOffset`. Empty in a sealed segment.
        var recent: [RecentBatch] = []
        /// Charges of what `recent` keeps.
        var tailBytes = 0
        /// Index in `recent` of the first that may have bytes.
        var firstKept = 0
        /// Set by each append, cleared by each round of ``letGoIfUnused()``.
        var tailWasAppended = false
        /// The files hold what no sync has covered: of a sealed segment its indexes too.
        var needsSync = false
        /// Set by each use of the indexes or the file, cleared by each round of ``letGoIfUnused()``.
        var wasUsed = true
    }

    package let baseOffset: Offset
    package let disk: any Disk
    let directory: String
    let state: Mutex<State>
    /// Held while the indexes are made anew.
    let rebuild = Mutex<Void>(())

    init(baseOffset: Offset, disk: any Disk, directory: String, state: consuming State) {
        self.baseOffset = baseOffset
        self.disk = disk
        self.directory = directory
        self.state = Mutex(state)
    }

    package func path(_ kind: SegmentFileKind) -> String { "\(directory)/\(kind.name(baseOffset))" }

    package var size: Int64 { state.withLock { $0.size } }
    package var endOffset: Offset { state.withLock { $0.endOffset } }
    package var isEmpty: Bool { size == 0 }

    /// The open file; opens it if need be.
    func openFile(forWriting: Bool = false) throws(SegmentError) -> SegmentFile {
        if let file = state.withLock({ state in
            state.wasUsed = true
            return state.file
        }), file.isWritable || !forWriting {
            return file
        }
        let opened = try onDisk { () throws(DiskError) in
            SegmentFile(try disk.open(path(.log), forWriting ? .readWriteCreate : .readOnly), isWritable: forWriting)
        }
        state.withLock { $0.file = opened }
        return opened
    }

    /// Forgets indexes and the open file of a sealed segment that nobody used since the last call, and the bytes of a tail that has not
    /// grown since.
    /// For good: nothing is written to it any more.
    func letGo() {
        state.withLock { state in
            state.isSealed = true
            state.dropTail()
            state.file = nil
            state.offsets = nil
            state.times = nil
            state.transactions = nil
        }
    }

    func letGoIfUnused() {
        state.withLock { state in
            defer {
                state.wasUsed = false
                state.tailWasAppended = false
            }
            if !state.tailWasAppended, state.tailBytes > 0 { state.dropTail() }
            guard state.isSealed, !state.wasUsed, state.offsetsStored == state.offsets?.entries.count ?? state.offsetsStored,
                state.timesStored == state.times?.entries.count ?? state.timesStored
            else { return }
            state.file = nil
            state.offsets = nil
            state.times = nil
            state.transactions = nil
        }
    }
}
