//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import Synchronization

/// The medium: it outlives the engine as a disk outlives a broker's process, and has a size as a disk has.
public final class InMemoryStore: Sendable {
    /// One partition's place on the medium.
    final class Partition: Sendable {
        let content = Mutex(LogContent())
    }

    let bytesMax: Int64
    private let bytes = Atomic<Int64>(0)
    private let partitions = Mutex<[PartitionID: Partition]>([:])

    /// - Parameter bytesMax: Appends that would exceed it are refused with ``LogError/Code/diskFull``.
    public init(bytesMax: Int64 = 1 << 30) { self.bytesMax = bytesMax }

    func partition(_ id: PartitionID) -> Partition {
        partitions.withLock { partitions in
            if let known = partitions[id] { return known }
            let new = Partition()
            partitions[id] = new
            return new
        }
    }

    func remove(_ id: PartitionID) {
        guard let partition = partitions.withLock({ $0.removeValue(forKey: id) }) else { return }
        free(partition.content.withLock { $0.sizeInBytes })
    }

    /// Takes room for an append; false if there is none.
    func reserve(_ amount: Int64) -> Bool {
        if bytes.add(amount, ordering: .relaxed).newValue <= bytesMax { return true }
        free(amount)
        return false
    }

    func free(_ amount: Int64) { bytes.subtract(amount, ordering: .relaxed) }
}
