//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Logging
package import RuntimeEnvironment
internal import Synchronization

/// Keeps a ``MetadataImage`` that follows the store: one list at the start, then only what changes.
///
/// A transaction's changes arrive together. What the engines keep in the store is passed over.
package final class MetadataCache: Sendable {
    package typealias Listener = @Sendable (MetadataUpdate) -> Void

    private final class Snapshot: Sendable {
        let image: MetadataImage
        init(_ image: MetadataImage) { self.image = image }
    }
    private struct Waiter {
        var isSatisfied: @Sendable (_ image: MetadataImage, _ revision: Int64) -> Bool
        var continuation: CheckedContinuation<MetadataImage?, Never>
        var timer: Task<Void, Never>
    }
    private struct State {
        var snapshot = Snapshot(MetadataImage())
        /// Changes up to here are in, the engines' included.
        var revision: Int64 = -1
        var listeners: [Int: Listener] = [:]
        var waiters: [Int: Waiter] = [:]
        var lastNumber = 0
        var follower: Task<Void, Never>?
        var isStopped = false
    }

    private let store: any MetadataStore
    private let clock: any Clock
    private let logger: Logger
    private let state = Mutex(State())

    package init(store: any MetadataStore, clock: any Clock, logger: Logger) {
        self.store = store
        self.clock = clock
        self.logger = logger
    }

    /// The newest image. Costs a short lock.
    package var current: MetadataImage { state.withLock(\.snapshot).image }

    /// Changes up to here are in ``current``.
    package var revision: Int64 { state.withLock(\.revision) }

    /// Lists what is there, and follows from then on. The first image is in ``current`` on return.
    ///
    /// - Throws: ``MetadataStoreError/Code/corrupt`` if a record cannot be read: the broker must not start.
    package func start() async throws(MetadataStoreError) {
        var unreadable: MetadataStoreError?
        let loaded = try await ImageLoad(store: store) { unreadable = unreadable ?? $0 }
        if let unreadable { throw unreadable }
        if loaded.isConsistent { publish(loaded.image, nil) }
        let follower = Task { await self.follow(loaded) }
        state.withLock { $0.follower = follower }
        _ = await wait(timeout: .seconds(3600)) { _, revision in revision >= 0 }
    }

    /// Ends following; those who wait get nil.
    package func stop() async {
        let (follower, waiters) = state.withLock { state in
            state.isStopped = true
            defer { state.waiters = [:] }
            return (state.follower, Array(state.waiters.values))
        }
        for waiter in waiters { Self.finish(waiter, nil) }
        follower?.cancel()
        await follower?.value
    }

    /// Calls `listener` after each change of the image, one at a time, in order, on the follower's task: it must not block.
    ///
    /// One added before ``start()`` hears of the first image as a change from the empty one.
    /// - Returns: What ``removeListener(_:)`` takes.
    @discardableResult
    package func onChange(_ listener: @escaping Listener) -> Int {
        state.withLock { state in
            state.lastNumber += 1
            state.listeners[state.lastNumber] = listener
            return state.lastNumber
        }
    }

    package func removeListener(_ number: Int) { state.withLock { _ = $0.listeners.removeValue(forKey: number) } }

    /// Waits until `predicate` holds of the image. It is called under the cache's lock: it must not call the cache.
    ///
    /// - Returns: The first image of which it holds; nil after `timeout`, when cancelled, and when the cache stops.
    package func waitUntil(timeout: Duration, _ predicate: @escaping @Sendable (MetadataImage) -> Bool) async -> MetadataImage? {
        await wait(timeout: timeout) { image, _ in predicate(image) }
    }

    /// Waits until the image holds what was committed at `revision`.
    package func wait(for revision: Int64, timeout: Duration) async -> MetadataImage? {
        await wait(timeout: timeout) { _, reached in reached >= revision }
    }

    // MARK: Following

    private func follow(_ first: ImageLoad) async {
        var load = first
        var image = first.image
        var pause = Duration.milliseconds(10)
        while !Task.isCancelled {
            do {
                for try await batch in store.watchBatches(prefix: "/", after: load.watchFrom) {
                    pause = .milliseconds(10)
                    var difference = ImageDifference()
                    image.apply(load.wanted(batch), noting: &difference) { self.report($0) }
                    load.advance(to: batch.last?.revision ?? load.watchFrom)
                    image.revision = max(image.revision, load.watchFrom)
                    if load.isConsistent { publish(image, load.isPublished ? difference : nil) }
                    load.isPublished = load.isPublished || load.isConsistent
                }
                return  // The store was closed.
            } catch is CancellationError {
                return
            } catch let error as MetadataStoreError where error.code == .closed {
                return
            } catch {
                let isForgotten = (error as? MetadataStoreError)?.code == .compacted
                logger.warning("The metadata watch broke off", metadata: ["error": "\(error)", "revision": "\(load.watchFrom)"])
                do {
                    if !isForgotten {
                        try await clock.sleep(for: pause)
                        pause = min(pause * 2, .seconds(1))
                    } else {
                        load = try await ImageLoad(store: store) { self.report($0) }
                        image = load.image
                        if load.isConsistent { publish(image, nil) }
                    }
                } catch {
                    // Tried again with the next round; a cancelled task ends there.
                    try? await clock.sleep(for: pause)
                    pause = min(pause * 2, .seconds(1))
                }
            }
        }
    }

    /// - Parameter difference: What changed; nil where it must be found by comparison.
    private func publish(_ image: MetadataImage, _ difference: ImageDifference?) {
        let old = current
        let difference = difference ?? image.difference(from: old)
        let isChanged = !difference.isEmpty || image.cluster != old.cluster || image.brokerEpochs != old.brokerEpochs
        let (listeners, satisfied) = state.withLock { state in
            if isChanged || state.revision < 0 { state.snapshot = Snapshot(image) }
            state.revision = image.revision
            var satisfied: [Waiter] = []
            for (number, waiter) in state.waiters where waiter.isSatisfied(state.snapshot.image, state.revision) {
                satisfied.append(waiter)
                state.waiters[number] = nil
            }
            return (difference.isEmpty ? [] : state.listeners.sorted { $0.key < $1.key }.map(\.value), satisfied)
        }
        if !listeners.isEmpty {
            let update = MetadataUpdate(old: old, new: image, difference: difference)
            for listener in listeners { listener(update) }
        }
        for waiter in satisfied { Self.finish(waiter, image) }
    }

    private func report(_ error: MetadataStoreError) {
        logger.error("A metadata record cannot be read and is passed over", metadata: ["error": "\(error)"])
    }

    // MARK: Waiting

    private func wait(
        timeout: Duration, _ isSatisfied: @escaping @Sendable (MetadataImage, Int64) -> Bool
    ) async -> MetadataImage? {
        let number = state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: MetadataImage?? = state.withLock { state in
                    if isSatisfied(state.snapshot.image, state.revision) { return .some(state.snapshot.image) }
                    if state.isStopped || Task.isCancelled { return .some(nil) }
                    let timer = Task { [clock, weak self] in
                        do { try await clock.sleep(for: timeout) } catch { return }
                        self?.giveUp(number)
                    }
                    state.waiters[number] = Waiter(isSatisfied: isSatisfied, continuation: continuation, timer: timer)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
                if Task.isCancelled { giveUp(number) }
            }
        } onCancel: {
            giveUp(number)
        }
    }

    private func giveUp(_ number: Int) {
        if let waiter = state.withLock({ $0.waiters.removeValue(forKey: number) }) { Self.finish(waiter, nil) }
    }

    private static func finish(_ waiter: Waiter, _ image: MetadataImage?) {
        waiter.timer.cancel()
        waiter.continuation.resume(returning: image)
    }
}

/// An image from lists that were read one after another, and what it takes to make it consistent.
///
/// Each prefix is listed at a revision of its own. Changes are followed from the lowest of these, each prefix taking only what its
/// list did not have; once the highest is reached, the image is that of one moment.
private struct ImageLoad {
    var image = MetadataImage()
    var isPublished: Bool
    /// Watching goes on after this revision.
    private(set) var watchFrom: Int64
    private var listedAt: [String: Int64] = [:]
    private let consistentFrom: Int64

    init(store: any MetadataStore, unreadable: (MetadataStoreError) -> Void) async throws(MetadataStoreError) {
        var unneeded = ImageDifference()
        for prefix in MetadataImage.prefixes {
            let (values, revision) = try await store.list(prefix: prefix)
            listedAt[prefix] = revision
            image.apply(values.map(MetadataChange.put), noting: &unneeded, unreadable: unreadable)
        }
        watchFrom = listedAt.values.min() ?? 0
        consistentFrom = listedAt.values.max() ?? 0
        image.revision = watchFrom
        isPublished = watchFrom == consistentFrom
    }

    var isConsistent: Bool { watchFrom >= consistentFrom }

    func wanted(_ batch: [MetadataChange]) -> [MetadataChange] {
        if isPublished { return batch }
        return batch.filter { change in
            MetadataImage.prefix(of: change.key).flatMap { listedAt[$0] }.map { change.revision > $0 } ?? false
        }
    }

    mutating func advance(to revision: Int64) { watchFrom = max(watchFrom, revision) }
}
