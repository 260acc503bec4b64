//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import Synchronization

/// One at a time per key, in the order of asking; other keys go on meanwhile.
final class Gates<Key: Hashable & Sendable>: Sendable {
    /// Keys that are entered, and who waits for them.
    private let waiting = Mutex<[Key: Deque<CheckedContinuation<Void, Never>>]>([:])

    func enter(_ key: Key) async {
        await withCheckedContinuation { continuation in
            let isFree = waiting.withLock { waiting in
                guard waiting[key] != nil else {
                    waiting[key] = []
                    return true
                }
                waiting[key]!.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    func leave(_ key: Key) {
        let next = waiting.withLock { waiting -> CheckedContinuation<Void, Never>? in
            guard let next = waiting[key]?.popFirst() else {
                waiting[key] = nil
                return nil
            }
            return next
        }
        next?.resume()
    }
}
