//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import RuntimeEnvironment
internal import Synchronization

/// Many deadlines on one sleeping task: long polls, produce time-outs, group sessions.
///
/// A deadline that is called off costs a dictionary removal; its place in the queue goes when its time comes, or when most places are
/// of that kind: thousands of produces a second that wait for milliseconds, with time-outs of half a minute, leave nothing behind.
package final class DeadlineTimers: Sendable {
    package struct Handle: Hashable, Sendable {
        fileprivate var number: UInt64
    }

    private struct Entry {
        var deadline: MonotonicInstant
        var number: UInt64
    }

    private struct State {
        /// A binary heap by deadline; numbers without an action have been called off.
        var queue: [Entry] = []
        var actions: [UInt64: @Sendable () -> Void] = [:]
        var lastNumber: UInt64 = 0
        /// Until when the task sleeps; nil while there is no task.
        var sleepsUntil: MonotonicInstant?
        var sleeper: Task<Void, Never>?
        var isStopped = false
    }

    private let clock: any Clock
    private let state = Mutex(State())

    package init(clock: any Clock) { self.clock = clock }

    /// Runs `action` once at `deadline` or a little later, on a task of the timers: it must be quick. At once after ``stop()``.
    @discardableResult
    package func schedule(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> Handle {
        let (handle, isStopped) = state.withLock { state in
            state.lastNumber += 1
            let number = state.lastNumber
            guard !state.isStopped else { return (Handle(number: number), true) }
            state.actions[number] = action
            Self.push(Entry(deadline: deadline, number: number), &state.queue)
            if state.sleepsUntil.map({ deadline < $0 }) ?? true {
                state.sleeper?.cancel()
                startSleeping(until: deadline, &state)
            }
            return (Handle(number: number), false)
        }
        if isStopped { action() }
        return handle
    }

    /// - Returns: False if it ran already, or runs now.
    @discardableResult
    package func cancel(_ handle: Handle) -> Bool {
        state.withLock { state in
            guard state.actions.removeValue(forKey: handle.number) != nil else { return false }
            if state.queue.count > 2 * state.actions.count + Self.calledOffMax { Self.compact(&state) }
            return true
        }
    }

    /// Every wait ends now, as if its time were up.
    package func stop() {
        let (sleeper, actions) = state.withLock { state in
            state.isStopped = true
            defer {
                state.actions = [:]
                state.queue = []
            }
            return (state.sleeper, state.actions.sorted { $0.key < $1.key }.map(\.value))
        }
        sleeper?.cancel()
        for action in actions { action() }
    }

    private func startSleeping(until deadline: MonotonicInstant, _ state: inout State) {
        state.sleepsUntil = deadline
        state.sleeper = Task { [weak self, clock] in
            do { try await clock.sleep(until: deadline) } catch { return }
            self?.wake(from: deadline)
        }
    }

    private func wake(from deadline: MonotonicInstant) {
        let now = max(clock.now(), deadline)
        let due: [@Sendable () -> Void] = state.withLock { state in
            // An earlier deadline has put another sleeper in this one's place.
            guard state.sleepsUntil == deadline else { return [] }
            state.sleepsUntil = nil
            state.sleeper = nil
            var due: [@Sendable () -> Void] = []
            while let first = state.queue.first {
                guard let action = state.actions[first.number] else {
                    Self.pop(&state.queue)
                    continue
                }
                guard first.deadline <= now else {
                    if !state.isStopped { startSleeping(until: first.deadline, &state) }
                    break
                }
                state.actions[first.number] = nil
                Self.pop(&state.queue)
                due.append(action)
            }
            return due
        }
        for action in due { action() }
    }

    /// Places of deadlines called off that may stay in the queue beyond as many as there are others.
    private static let calledOffMax = 256

    private static func compact(_ state: inout State) {
        let live = state.queue.filter { state.actions[$0.number] != nil }
        state.queue.removeAll(keepingCapacity: true)
        for entry in live { push(entry, &state.queue) }
    }

    /// Places in the queue, called off or not.
    package var queuedCount: Int { state.withLock { $0.queue.count } }

    // MARK: The heap

    private static func push(_ entry: Entry, _ queue: inout [Entry]) {
        queue.append(entry)
        var child = queue.count - 1
        while child > 0, queue[child].deadline < queue[(child - 1) / 2].deadline {
            queue.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private static func pop(_ queue: inout [Entry]) {
        queue.swapAt(0, queue.count - 1)
        queue.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < queue.count && queue[child].deadline < queue[least].deadline
            {
                least = child
            }
            if least == parent { return }
            queue.swapAt(parent, least)
            parent = least
        }
    }
}
