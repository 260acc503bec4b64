//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
internal import NIOCore
internal import Synchronization

extension ReplicatedDisk {
    /// Tries the healthy copies in order until one answers. Only a copy's own failure (I/O) leads to the next.
    func firstHealthy<Value>(
        _ body: (Int, any Disk) throws(DiskError) -> Value
    ) throws(DiskError) -> (copy: Int, value: Value) {
        var outcomes: [(copy: Int, failure: DiskError?)] = []
        for copy in health.healthy {
            let value: Value
            do throws(DiskError) { value = try body(copy, disks[copy]) } catch {
                guard error.code == .inputOutput else { throw error }
                outcomes.append((copy, error))
                continue
            }
            if !outcomes.isEmpty { try health.settle(outcomes + [(copy, nil)]) }
            return (copy, value)
        }
        throw outcomes.first?.failure ?? DiskError(code: .inputOutput, operation: "read", path: "(no healthy copy)")
    }

    func onAll(_ body: (Int, any Disk) throws(DiskError) -> Void) throws(DiskError) {
        let healthy = health.healthy
        var failures: [Int: DiskError] = [:]
        for copy in healthy {
            do throws(DiskError) { try body(copy, disks[copy]) } catch { failures[copy] = error }
        }
        if !failures.isEmpty { try health.settle(healthy.map { ($0, failures[$0]) }) }
    }

    /// As ``onAll(_:)``, the copies at the same time if there are workers: a sync waits for its medium.
    func onAllAtOnce(_ body: @escaping @Sendable (Int, any Disk) throws(DiskError) -> Void) throws(DiskError) {
        guard !workers.isEmpty else { return try onAll(body) }
        let healthy = health.healthy
        let gate = CountdownGate(healthy.count - 1)
        let results = Mutex<[Int: DiskError]>([:])
        @Sendable func attempt(_ copy: Int) {
            do throws(DiskError) { try body(copy, disks[copy]) } catch {
                results.withLock { $0[copy] = error }
            }
        }
        for copy in healthy.dropFirst() {
            workers[copy - 1].submit {
                attempt(copy)
                gate.countDown()
            }
        }
        attempt(healthy[0])
        gate.wait()
        let failures = results.withLock { $0 }
        if !failures.isEmpty { try health.settle(healthy.map { ($0, failures[$0]) }) }
    }

    /// Makes `path` on `target` what it is on `source`.
    func copyFile(_ path: String, from source: any Disk, to target: any Disk) throws(DiskError) {
        let original = try source.open(path, .readOnly)
        defer { original.close() }
        let copy = try target.open(path, .readWriteCreate)
        defer { copy.close() }
        try Self.equalize(copy, with: original)
    }

    /// Writes what differs, sets the length, syncs if anything was done.
    static func equalize(_ copy: any DiskFile, with original: any DiskFile) throws(DiskError) {
        let size = try original.size()
        var changed = false
        if try copy.size() != size {
            try copy.truncate(to: size)
            changed = true
        }
        let step: Int64 = 1 << 20
        var position: Int64 = 0
        while position < size {
            let length = Int(min(step, size - position))
            let wanted = try original.readBytes(at: position, length: length)
            if try copy.readBytes(at: position, length: length) != wanted {
                try copy.write([wanted], at: position)
                changed = true
            }
            position += Int64(length)
        }
        if changed { try copy.synchronize() }
    }
}

/// Lets one thread wait for several others.
final class CountdownGate: @unchecked Sendable {
    private let remaining: Atomic<Int>
    // A semaphore is safe from any thread by itself; it stands still on the heap.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init(_ count: Int) {
        remaining = Atomic(count)
        sem_init(semaphore, 0, count == 0 ? 1 : 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func countDown() {
        if remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { sem_post(semaphore) }
    }

    func wait() {
        while sem_wait(semaphore) != 0 {}
    }
}
