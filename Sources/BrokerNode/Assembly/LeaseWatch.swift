//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import Logging
internal import SharedStorage
internal import Synchronization

/// An engine that must be told at once when the broker's lease is lost, lest it commit what another broker owns by then.
protocol FencedEngine {
    func fence()
}

extension SharedStorageEngine: FencedEngine {}

/// Fences the engines when the lease ends other than by a controlled stop.
final class LeaseWatch: Sendable {
    private let isStopped = Atomic(false)
    private let registry: EngineRegistry

    init(_ registration: BrokerRegistration, registry: EngineRegistry, logger: Logger) {
        self.registry = registry
        Task { [weak self] in
            await registration.waitUntilEnded()
            guard let self, !isStopped.load(ordering: .acquiring) else { return }
            logger.error("The lease in the metadata store was lost: nothing is acknowledged any more")
            fenceEngines()
        }
    }

    /// The broker is about to give its lease back although not all of its data are where others find them.
    func fence() {
        stop()
        fenceEngines()
    }

    private func fenceEngines() { for engine in registry.engines { (engine as? any FencedEngine)?.fence() } }

    func stop() { isStopped.store(true, ordering: .releasing) }
}
