//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import LogEngine
internal import NIOCore

/// The appends of a write-ahead log from their arrival to their acknowledgement, and its end, whatever the log lies on. Guarded by the log's
/// lock, whose holder tells the clients what the answers say after it.
struct WALQueue {
    private var appends: Deque<WALAppend> = []
    /// Bytes of the bodies that nobody has taken yet.
    private(set) var queuedBytes = 0
    /// Queued, being written, or written and not yet acknowledged. Limited by `walQueueBytesMax`.
    private(set) var outstandingBytes = 0
    /// The number that the next append gets.
    private(set) var nextSequence: UInt64 = 0
    /// What ended the log. Then nothing is queued.
    private(set) var failure: LogError?

    var isEmpty: Bool { appends.isEmpty }
    /// Bytes of the body that is next.
    var nextBodyBytes: Int? { appends.first?.body.readableBytes }
    /// The number of the append taken last.
    var lastTakenSequence: UInt64 { nextSequence - UInt64(appends.count) - 1 }

    /// Why an append of `bytes` would be refused now; nil if it would not. One at least is taken, whatever its size.
    ///
    /// - Parameters:
    ///   - place: The log, for the message.
    ///   - remedy: What makes room.
    func refusal(ofBytes bytes: Int, max: Int, place: String, remedy: String) -> LogError? {
        if let failure { return failure }
        guard outstandingBytes + bytes > max, outstandingBytes > 0 else { return nil }
        return LogError(
            .overloaded, "the write-ahead log \(place) has \(outstandingBytes) bytes waiting; try again when \(remedy)")
    }

    /// - Returns: The append's number.
    /// - Throws: What ended the log: nothing was queued.
    mutating func enqueue(_ append: WALAppend) throws(LogError) -> UInt64 {
        if let failure { throw failure }
        appends.append(append)
        queuedBytes += append.body.readableBytes
        outstandingBytes += append.body.readableBytes
        defer { nextSequence += 1 }
        return nextSequence
    }

    /// The oldest. There must be one.
    mutating func takeNext() -> WALAppend {
        let append = appends.removeFirst()
        queuedBytes -= append.body.readableBytes
        return append
    }

    /// How many appends come to at most `bytesMax`; one at least.
    func count(within bytesMax: Int) -> Int {
        var bytes = 0
        let beyond = appends.firstIndex { append in
            bytes += append.body.readableBytes
            return bytes > bytesMax
        }
        return max(1, beyond ?? appends.count)
    }

    /// Appends that were taken are acknowledged, and make room.
    mutating func acknowledged(bytes: Int) { outstandingBytes -= bytes }

    /// Ends the log. The first reason counts.
    ///
    /// - Returns: The clients of what was queued; nil if the log had ended before.
    mutating func end(_ error: LogError) -> [any WALClient]? {
        guard failure == nil else { return nil }
        failure = error
        queuedBytes = 0
        defer { appends.removeAll() }
        return appends.map(\.client)
    }
}
