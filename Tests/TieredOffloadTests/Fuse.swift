//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import LogSegments
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization

/// Ends a broker's reach at its n-th change to the outer world: nothing it does later arrives, as after `kill -9`.
final class Fuse: Sendable {
    enum Last: Sendable, CaseIterable {
        /// The n-th change does not arrive.
        case isLost
        /// It arrives, and the broker dies before it learns so.
        case arrives
    }

    private let left: Mutex<Int>
    let last: Last

    init(after changes: Int, last: Last) {
        left = Mutex(changes)
        self.last = last
    }

    enum Fate { case passes, lastOne, gone }

    func fate() -> Fate {
        left.withLock { left in
            left -= 1
            return left > 0 ? .passes : left == 0 ? .lastOne : .gone
        }
    }

    var isBurnt: Bool { left.withLock { $0 <= 0 } }

    func install(in store: SimulatedObjectStore) {
        store.setFault { [self] operation in
            switch operation.kind {
            case .put, .delete, .multipart:
                switch fate() {
                case .passes: nil
                case .lastOne: last == .arrives ? .loseReply(.unreachable) : .fail(.unreachable)
                case .gone: .fail(.unreachable)
                }
            default: isBurnt ? .fail(.unreachable) : nil
            }
        }
    }
}

/// The metadata store as a broker with a fuse reaches it.
struct FusedMetadataStore: MetadataStore {
    let base: any MetadataStore
    let fuse: Fuse

    private static let unavailable = MetadataStoreError(.unavailable, "the fuse is burnt")

    private func demandReach() throws(MetadataStoreError) { if fuse.isBurnt { throw Self.unavailable } }

    func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? {
        try demandReach()
        return try await base.get(key)
    }
    func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        try demandReach()
        return try await base.list(prefix: prefix)
    }
    func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        switch fuse.fate() {
        case .passes: return try await base.commit(transaction)
        case .lastOne:
            if fuse.last == .arrives { _ = try await base.commit(transaction) }
            throw Self.unavailable
        case .gone: throw Self.unavailable
        }
    }
    func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID { try await base.grantLease(duration) }
    func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) { try await base.keepAlive(lease) }
    func revoke(_ lease: LeaseID) async throws(MetadataStoreError) { try await base.revoke(lease) }
    func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        base.watch(prefix: prefix, after: revision)
    }
    func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        base.watchBatches(prefix: prefix, after: revision)
    }
    func close() async {}
}
