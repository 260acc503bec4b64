//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CSystemShim

/// What a part needs of the world besides its disks and stores.
public struct RuntimeEnvironment: Sendable {
    public var clock: any Clock
    public var randomness: any RandomSource
    public var workers: any WorkerPool

    public init(clock: any Clock, randomness: any RandomSource, workers: any WorkerPool) {
        self.clock = clock
        self.randomness = randomness
        self.workers = workers
    }
}

extension RuntimeEnvironment {
    /// The machine's own clocks, the kernel's randomness, one thread per worker.
    public static let system = RuntimeEnvironment(
        clock: SystemClock(), randomness: SystemRandomSource(), workers: ThreadWorkerPool())

    /// Lets this process open as many files as the system allows it to. A log keeps several open per segment and copy.
    ///
    /// - Returns: The limit now in force; nil if it cannot be told.
    @discardableResult
    public static func raiseDescriptorLimit() -> Int64? {
        let limit = ninefold_raise_descriptor_limit()
        return limit < 0 ? nil : limit
    }
}
