//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import Metering
internal import RuntimeEnvironment
internal import SharedStorage
internal import Synchronization

/// Where each broker's write-ahead log lies, kept in the metadata so that a survivor finds a dead broker's.
final class WALVolumes: Sendable {
    /// What the names of the files begin with, one for each run of a broker.
    static let fileName = "ring"

    private let store: any MetadataStore
    private let openVolume: @Sendable (VolumeRequest, Meters) throws -> Volume
    private let meters: Meters
    private let known = Mutex<[BrokerID: SharedStorageEngine.WALVolume]>([:])

    init(
        store: any MetadataStore, openVolume: @escaping @Sendable (VolumeRequest, Meters) throws -> Volume, meters: Meters
    ) {
        self.store = store
        self.openVolume = openVolume
        self.meters = meters
    }

    private static func key(_ broker: BrokerID) -> String { "/wal-volumes/\(broker.rawValue)" }

    /// Opens this broker's own volume and lets the others know of it.
    ///
    /// - Parameter specification: nil for a log in the object store, which everybody reaches; a ring that an earlier run had stays
    ///   known.
    func openOwn(_ broker: BrokerID, specification: String?) async throws -> SharedStorageEngine.WALVolume? {
        guard let specification else {
            try await learn(broker)
            return nil
        }
        let volume = try open(specification)
        known.withLock { $0[broker] = volume }
        _ = try await store.commit(Transaction(operations: [.put(Self.key(broker), Array(specification.utf8))]))
        return volume
    }

    /// Opens another broker's volume, so that ``reach(_:)`` knows it.
    func learn(_ broker: BrokerID) async throws {
        guard known.withLock({ $0[broker] }) == nil, let stored = try await store.get(Self.key(broker)) else { return }
        let volume = try open(String(decoding: stored.value, as: UTF8.self))
        known.withLock { $0[broker] = volume }
    }

    /// nil if the volume cannot be reached from here.
    func reach(_ broker: BrokerID) async -> SharedStorageEngine.WALVolume? {
        try? await learn(broker)
        return known.withLock { $0[broker] }
    }

    private func open(_ specification: String) throws -> SharedStorageEngine.WALVolume {
        let volume = try openVolume(VolumeRequest(specification: specification, classify: { _ in .wal }), meters)
        return SharedStorageEngine.WALVolume(disk: volume.disk, path: Self.fileName)
    }
}
