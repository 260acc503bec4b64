//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import Synchronization

/// Gives out producer ids from blocks that no other broker has.
final class ProducerIDs: Sendable {
    private struct State {
        var block: Range<Int64> = 0..<0
    }

    private let operations: MetadataOperations
    private let state = Mutex(State())

    init(operations: MetadataOperations) { self.operations = operations }

    func next() async throws(MetadataOperationError) -> Int64 {
        while true {
            if let id = take() { return id }
            let block = try await operations.allocateProducerIDs()
            // Two may have asked for a block at once: ids of the one that is replaced are lost, which harms nobody.
            state.withLock { state in
                if state.block.isEmpty { state.block = block }
            }
        }
    }

    private func take() -> Int64? {
        state.withLock { state in
            guard let id = state.block.first else { return nil }
            state.block = (id + 1)..<state.block.upperBound
            return id
        }
    }
}
