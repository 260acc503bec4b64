//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import Synchronization

/// What the mounts of one simulated disk share.
final class SimulatedMedium: Sendable {
    struct State: Sendable {
        var tree = SimulatedTree()
        /// The mount that may use the disk.
        var mount = 0
        var usedPages = 0
        var capacityPages: Int?
        var liesAboutSync = false
        var losses = DiskLosses()

        /// Pages that can still be taken.
        var room: Int { (capacityPages ?? 1 << 38) - usedPages }

        /// A name of `inode` is gone: its room is free once it has neither name nor handle.
        mutating func unlinked(_ inode: SimulatedInode) {
            inode.links -= 1
            if inode.links == 0, inode.handles == 0 { usedPages -= inode.allocatedPages }
        }

        mutating func closed(_ inode: SimulatedInode) {
            inode.handles -= 1
            if inode.links == 0, inode.handles == 0 { usedPages -= inode.allocatedPages }
        }

        /// Runs `body` and books the room it took or freed.
        mutating func booking(_ inode: SimulatedInode, _ body: () -> Void) {
            let before = inode.allocatedPages
            body()
            usedPages += inode.allocatedPages - before
        }
    }

    let state: Mutex<State>
    let fault = Mutex<(@Sendable (DiskOperation) -> DiskError.Code?)?>(nil)
    private let randomness: SeededRandomSource

    init(randomness: SeededRandomSource, capacityBytes: Int64?) {
        self.randomness = randomness
        state = Mutex(State(capacityPages: capacityBytes.map(Self.pages)))
    }

    static func pages(_ bytes: Int64) -> Int { Int(bytes) / SimulatedInode.pageSize }

    func check(_ operation: DiskOperation) throws(DiskError) {
        guard let code = fault.withLock({ $0 })?(operation) else { return }
        throw DiskError(code: code, operation: "\(operation.kind) (injected)", path: operation.path)
    }

    func with<Value>(
        _ mount: Int, _ operation: String, _ path: String, _ body: (inout State) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        // The result crosses out of the lock; inodes and directories in it are touched under it only.
        nonisolated(unsafe) var value: Value?
        try state.withLock { state throws(DiskError) in
            guard state.mount == mount else {
                throw DiskError(code: .inputOutput, operation: "after a crash: \(operation)", path: path)
            }
            value = try body(&state)
        }
        return value!
    }

    /// Ends the current mount, and returns the next one's number.
    func remount(_ crash: SimulatedDisk.Crash) -> Int {
        state.withLock { state in
            state.mount += 1
            if crash == .powerCut { state.tree.losePower(randomness) }
            var seen: Set<ObjectIdentifier> = []
            let files = state.tree.files(below: state.tree.root)
            for inode in files { (inode.links, inode.handles, inode.locker) = (0, 0, nil) }
            state.usedPages = 0
            for inode in files {
                inode.links += 1
                guard seen.insert(ObjectIdentifier(inode)).inserted else { continue }
                if crash == .powerCut { inode.losePower(randomness, &state.losses) }
                state.usedPages += inode.allocatedPages
            }
            return state.mount
        }
    }
}
