//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// One reader of changes: what it wants, what it has had, and where to send the next.
struct MetadataWatcher {
    /// A slow reader's backlog is bounded: past this it is told to list again, as one whose revision was forgotten.
    static let bufferedMax = 65_536

    enum Sink {
        case changes(AsyncThrowingStream<MetadataChange, any Error>.Continuation)
        case batches(AsyncThrowingStream<[MetadataChange], any Error>.Continuation)
    }

    var prefix: String
    /// Changes up to here were sent.
    var revision: Int64
    var sink: Sink

    /// Sends those of `changes`, whole transactions in order, that the reader wants and has not had.
    ///
    /// - Returns: False if the reader's backlog is full: finish it with ``MetadataStoreError/Code/compacted``.
    mutating func send(_ changes: [MetadataChange]) -> Bool {
        guard let last = changes.last?.revision else { return true }
        let wanted = changes.filter { $0.revision > revision && $0.key.utf8.starts(with: prefix.utf8) }
        revision = max(revision, last)
        guard !wanted.isEmpty else { return true }
        switch sink {
        case .changes(let continuation):
            for change in wanted {
                if case .dropped = continuation.yield(change) { return false }
            }
        case .batches(let continuation):
            if case .dropped = continuation.yield(wanted) { return false }
        }
        return true
    }

    /// Never called under a lock that the sink's termination takes.
    func finish(_ error: MetadataStoreError?) {
        switch sink {
        case .changes(let continuation): continuation.finish(throwing: error)
        case .batches(let continuation): continuation.finish(throwing: error)
        }
    }

    /// A stream, and the sink that feeds it. `remove` is called once, soon after the reader goes away or the stream is finished.
    ///
    /// Not at once: a reader's task that is cancelled calls from within the runtime's lock on that task, and a store that yields to the
    /// reader under its own lock waits for the runtime's. `remove` takes the store's: the two would wait for each other for good.
    static func changes(
        add: (Sink) -> Void, remove: @escaping @Sendable () -> Void
    ) -> AsyncThrowingStream<MetadataChange, any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: MetadataChange.self, throwing: (any Error).self, bufferingPolicy: .bufferingOldest(bufferedMax))
        continuation.onTermination = { _ in Task { remove() } }
        add(.changes(continuation))
        return stream
    }

    static func batches(
        add: (Sink) -> Void, remove: @escaping @Sendable () -> Void
    ) -> AsyncThrowingStream<[MetadataChange], any Error> {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: [MetadataChange].self, throwing: (any Error).self, bufferingPolicy: .bufferingOldest(bufferedMax))
        continuation.onTermination = { _ in Task { remove() } }
        add(.batches(continuation))
        return stream
    }
}
