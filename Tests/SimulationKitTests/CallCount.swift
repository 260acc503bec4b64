//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Synchronization

final class CallCount: Sendable {
    private let count = Atomic<UInt64>(0)
    /// 1, 2, 3, …
    func next() -> UInt64 { count.add(1, ordering: .relaxed).newValue }
}
