//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel
package import RuntimeEnvironment

/// Changes of topics, partitions and settings, as any broker may ask for them: each reads what it needs, decides, and commits by
/// compare-and-set, again if another was faster. What it changed is durable on return; images follow a moment later
/// (``MetadataCache/wait(for:timeout:)``).
package struct MetadataOperations: Sendable {
    /// Tries against others' changes before giving up with ``MetadataOperationError/Code/conflict``. Each lost one is another's success.
    static let attemptsMax = 100

    let store: any MetadataStore
    let randomness: any RandomSource
    let placement: @Sendable (_ storageMode: String) -> ReplicaPlacement

    /// - Parameter placement: The trait of the engine that a `storage.mode` names.
    package init(
        store: any MetadataStore, randomness: any RandomSource,
        placement: @escaping @Sendable (_ storageMode: String) -> ReplicaPlacement
    ) {
        self.store = store
        self.randomness = randomness
        self.placement = placement
    }

    /// A change that `attempt` prepares from what it reads.
    struct Proposal<Value> {
        var transaction: Transaction
        var value: Value
        /// Committed nothing: there is nothing to do.
        var isVoid = false
    }

    /// Reads, decides and commits until the commit holds.
    ///
    /// - Returns: The value, and the revision at which it is true.
    func retrying<Value>(
        _ what: @autoclosure () -> String, _ attempt: () async throws -> Proposal<Value>
    ) async throws(MetadataOperationError) -> (value: Value, revision: Int64) {
        do {
            for _ in 0..<Self.attemptsMax {
                let proposal = try await attempt()
                if proposal.isVoid { return (proposal.value, 0) }
                let result = try await store.commit(proposal.transaction)
                if result.succeeded { return (proposal.value, result.revision) }
            }
        } catch let error as MetadataOperationError {
            throw error
        } catch let error as MetadataStoreError {
            throw MetadataOperationError(error)
        } catch {
            preconditionFailure("an attempt throws operation errors and store errors only, not \(error)")
        }
        throw MetadataOperationError(.conflict, "\(what()) was overtaken by other changes \(Self.attemptsMax) times: try again")
    }

    func read<Record: Decodable & Sendable & Hashable>(
        _ type: Record.Type, _ key: String
    ) async throws(MetadataStoreError) -> Versioned<Record>? {
        guard let stored = try await store.get(key) else { return nil }
        return Versioned(try RecordCoding.decode(type, from: stored), revision: stored.modRevision)
    }

    /// The brokers that are alive and not about to stop; all that are alive if all of them are.
    func brokersForNewReplicas() async throws -> [BrokerRecord] {
        let brokers = try await liveBrokers()
        let staying = brokers.filter { !$0.isDraining }
        return (staying.isEmpty ? brokers : staying).sorted { $0.id < $1.id }
    }

    func liveBrokers() async throws(MetadataStoreError) -> [BrokerRecord] {
        var brokers: [BrokerRecord] = []
        for stored in try await store.list(prefix: MetadataKey.brokers).values {
            brokers.append(try RecordCoding.decode(BrokerRecord.self, from: stored))
        }
        return brokers
    }

    func topic(_ name: String) async throws -> Versioned<TopicRecord> {
        guard let topic = try await read(TopicRecord.self, MetadataKey.topic(name)), !topic.record.isBeingDeleted else {
            throw MetadataOperationError.unknownTopic(name)
        }
        return topic
    }
}
