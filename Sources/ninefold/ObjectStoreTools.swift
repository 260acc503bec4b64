//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerNode
internal import Comparison
internal import Dispatch
internal import Foundation
internal import Synchronization

/// The comparison's way to the object store: through `BrokerNode`, which alone knows the stores.
struct ObjectStoreTools: ObjectStoreAccess {
    /// The store cannot be used: nothing was started, nothing is left.
    struct Refusal: Error, CustomStringConvertible {
        var description: String
    }

    func check(_ url: String) async throws {
        do { try await ObjectStoreTool.check(url) } catch { throw Refusal(description: "\(error)") }
    }

    func removeAll(below url: String) async throws { try await ObjectStoreTool.removeAll(below: url) }

    /// For the handler of a signal, which cannot wait as tasks do: some seconds, then it says what may be left.
    func cleanNow(_ plan: ComparePlan) {
        guard plan.objectStoreURL != nil, !plan.keep else { return }
        let left = Mutex(["\(plan.objectStoreURL!) in \(plan.runName)"])
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            let found = await CompareRun.cleanObjects(plan, self)
            left.withLock { $0 = found }
            done.signal()
        }
        _ = done.wait(timeout: .now() + 10)
        for place in left.withLock(\.self) {
            FileHandle.standardError.write(Data("ninefold: objects of this run may be left below \(place)\n".utf8))
        }
    }
}
