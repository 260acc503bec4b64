//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// How the memory a broker may take for caches and buffers (`memory.budget.bytes`) is shared out where the settings of the shares are
/// not given themselves.
///
/// ```
///  1/8  requests received and not yet answered             queued.max.request.bytes
///  1/8  appends waiting to be written: those requests'     (not set: acks=0, which is answered at once, is what adds to it)
///  1/8  tails of isr and tiered logs                       log.tail.cache.bytes
///  1/8  chunks read from the tier                          remote.log.chunk.cache.bytes
///  1/4  recent appends of shared logs                      log.cache.bytes
///  1/8  blocks read from shared objects                    block.cache.bytes
///  1/16 indexes of remote segments and objects             (not set)
///  1/16 answers on their way, sockets
/// ```
/// Beyond a share nothing is taken: requests wait in their sockets, caches let go of their oldest. One request is always admitted,
/// whatever its size. The program itself, its partitions (a few kilobytes each) and its connections come on top.
package struct MemoryBudget: Sendable, Hashable {
    package static let standardBytes: Int64 = 512 << 20

    package let bytes: Int64

    package init(bytes: Int64) { self.bytes = bytes }

    package var requests: Int64 { bytes / 8 }
    package var tails: Int64 { bytes / 8 }
    package var chunks: Int64 { bytes / 8 }
    package var logCache: Int64 { bytes / 4 }
    package var blocks: Int64 { bytes / 8 }
    /// Of each engine that keeps some.
    package var indexes: Int64 { bytes / 32 }
}
