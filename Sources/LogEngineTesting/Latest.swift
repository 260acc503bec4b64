//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import Synchronization

/// The highest offset a listener was told.
final class Latest: Sendable {
    private let offset = Mutex(Offset.zero)
    func note(_ heard: Offset) { offset.withLock { $0 = max($0, heard) } }
    var highWatermark: Offset { offset.withLock { $0 } }
}
