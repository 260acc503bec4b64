//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CCurl
internal import CCurlShim
internal import NIOCore
internal import Synchronization

/// The thread's side of ``CurlTransport``.
///
/// `inbox` is shared; all else belongs to the thread inside ``run()``.
final class CurlLoop: @unchecked Sendable {
    private struct Inbox {
        var arrived: [CurlTransfer] = []
        var cancelled: [CurlTransfer] = []
        var isStopping = false
        /// The thread has ended: nobody will look here again, and `multi` is gone.
        var hasEnded = false
        var whenEnded: [@Sendable () -> Void] = []
    }

    private let settings: CurlTransport.Settings
    private let inbox = Mutex(Inbox())
    private let multi: UnsafeMutableRawPointer

    private var waiting: ArraySlice<CurlTransfer> = []
    private var active: [UnsafeMutableRawPointer: CurlTransfer] = [:]
    private var idleHandles: [UnsafeMutableRawPointer] = []

    private static let initialized: Void = {
        let code = ninefold_curl_global_init()
        precondition(code == CURLE_OK, "libcurl can be initialised")
    }()

    init(settings: CurlTransport.Settings) {
        _ = Self.initialized
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl has memory for a multi handle") }
        self.settings = settings
        self.multi = multi
        _ = ninefold_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, settings.inFlightMax)
    }

    // MARK: From any thread

    func submit(_ transfer: CurlTransfer) {
        let isRefused = inbox.withLock { inbox in
            guard !inbox.isStopping else { return true }
            inbox.arrived.append(transfer)
            // Under the lock, as the handle lives no longer than `hasEnded` is false.
            if inbox.arrived.count == 1 { curl_multi_wakeup(multi) }
            return false
        }
        if isRefused { transfer.finish(.failure(Self.closed)) }
    }

    func cancel(_ transfer: CurlTransfer) {
        transfer.isCancelled.store(true, ordering: .relaxed)
        inbox.withLock { inbox in
            guard !inbox.hasEnded else { return }
            inbox.cancelled.append(transfer)
            curl_multi_wakeup(multi)
        }
    }

    func stop(_ whenEnded: (@Sendable () -> Void)?) {
        let hasEnded = inbox.withLock { inbox in
            guard !inbox.hasEnded else { return true }
            inbox.isStopping = true
            if let whenEnded { inbox.whenEnded.append(whenEnded) }
            curl_multi_wakeup(multi)
            return false
        }
        if hasEnded { whenEnded?() }
    }

    private static let closed = HTTPTransportError(.other, "the object store is closed", mayHaveTakenEffect: false)

    // MARK: On the thread

    func run() {
        while takeInbox() {
            startWaiting()
            var running: CInt = 0
            curl_multi_perform(multi, &running)
            let hasFinished = finishCompleted()
            // Places became free for those who wait, or all is quiet until a socket, a timer or a wake-up.
            if !(hasFinished && !waiting.isEmpty) { curl_multi_poll(multi, nil, 0, 60_000, nil) }
        }
        end()
    }

    /// - Returns: False when it is time to end.
    private func takeInbox() -> Bool {
        let (arrived, cancelled, isStopping) = inbox.withLock { inbox in
            defer {
                inbox.arrived.removeAll(keepingCapacity: true)
                inbox.cancelled.removeAll()
            }
            return (inbox.arrived, inbox.cancelled, inbox.isStopping)
        }
        waiting += arrived
        for transfer in cancelled {
            if let easy = transfer.easy {
                let failure = transfer.failure(.cancelled, "the request was cancelled")
                release(easy)
                transfer.finish(.failure(failure))
            } else if let index = waiting.firstIndex(where: { $0 === transfer }) {
                waiting.remove(at: index)
                transfer.finish(.failure(transfer.failure(.cancelled, "the request was cancelled")))
            }
        }
        return !isStopping
    }

    private func startWaiting() {
        while active.count < settings.inFlightMax, let transfer = waiting.popFirst() {
            guard !transfer.isCancelled.load(ordering: .relaxed) else {
                transfer.finish(.failure(transfer.failure(.cancelled, "the request was cancelled")))
                continue
            }
            guard let easy = idleHandles.popLast() ?? curl_easy_init() else {
                transfer.finish(.failure(transfer.failure(.other, "no memory for another request")))
                continue
            }
            active[easy] = transfer
            guard transfer.prepare(easy, settings), curl_multi_add_handle(multi, easy) == CURLM_OK else {
                release(easy)
                transfer.finish(.failure(transfer.failure(.other, "libcurl refused the request's address")))
                continue
            }
        }
    }

    private func finishCompleted() -> Bool {
        var hasFinished = false
        var left: CInt = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle, let transfer = active[easy] else {
                continue
            }
            // `message` is gone once its handle is removed.
            let outcome = transfer.outcome(message.pointee.data.result)
            release(easy)
            transfer.finish(outcome)
            hasFinished = true
        }
        return hasFinished
    }

    private func release(_ easy: UnsafeMutableRawPointer) {
        curl_multi_remove_handle(multi, easy)
        active.removeValue(forKey: easy)?.unprepare()
        curl_easy_reset(easy)
        idleHandles.append(easy)
    }

    private func end() {
        let stranded = Array(active)
        for (easy, transfer) in stranded {
            let failure = transfer.failure(.other, "the object store is closed")
            release(easy)
            transfer.finish(.failure(failure))
        }
        let (arrived, whenEnded) = inbox.withLock { inbox in
            inbox.hasEnded = true
            return (inbox.arrived, inbox.whenEnded)
        }
        for transfer in waiting + arrived { transfer.finish(.failure(Self.closed)) }
        waiting = []
        for easy in idleHandles { curl_easy_cleanup(easy) }
        idleHandles = []
        curl_multi_cleanup(multi)
        for notify in whenEnded { notify() }
    }
}
