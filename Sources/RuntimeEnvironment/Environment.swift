//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

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

/// A place for a broker's files: a disk, and the text it was named by.
public struct Volume: Sendable {
    /// As the user gave it: `DIR` or `replicated:N:DIR`.
    public var specification: String
    public var disk: any Disk

    public init(specification: String, disk: any Disk) {
        self.specification = specification
        self.disk = disk
    }
}
