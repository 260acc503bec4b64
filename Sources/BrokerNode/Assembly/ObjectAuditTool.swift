//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
package import Foundation
internal import LogModel
internal import Metering
package import ObjectStore
internal import RuntimeEnvironment
internal import SharedStorage
internal import TieredOffload

/// What an audit of a whole cluster's objects saw: what `ninefold audit --format json` prints.
package struct ClusterAudit: Codable, Sendable, Hashable {
    package var schema = "ninefold/audit/1"
    package var metadataStore: String
    package var objectStore: String
    package var graceSeconds: Double
    package var repairs: Bool
    package var modes: [ObjectAuditReport]

    package var findings: [ObjectFinding] { modes.flatMap(\.findings) }

    package func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }
}

/// The two-way audit of objects against metadata, over all engines that keep objects.
package enum ObjectAuditTool {
    /// Opens both stores and audits.
    ///
    /// - Parameter grace: An object that the metadata do not know is an orphan once it is older than this.
    /// - Throws: One line that names the store and what is wrong.
    package static func run(
        metadataStoreURL: String, objectStoreURL: String, repairs: Bool, grace: Duration
    ) async throws -> ClusterAudit {
        let environment = RuntimeEnvironment.system
        // A store that is made by looking at it would know of no object.
        if !MetadataStoreURL.exists(metadataStoreURL) {
            throw ConfigurationError("\(metadataStoreURL): there is no such metadata store; give the cluster's own")
        }
        let metadata = try MetadataStoreURL.open(metadataStoreURL, clock: environment.clock)
        let store: any ObjectStore
        do {
            store = try ObjectStoreURL.open(
                objectStoreURL, environment: environment, meters: Meters(), credentials: ProcessInfo.processInfo.environment)
        } catch {
            await metadata.close()
            throw error
        }
        let result: Result<[ObjectAuditReport], any Error>
        do {
            result = .success(
                try await modes(
                    store: store, metadata: metadata, clock: environment.clock, repairs: repairs, grace: grace))
        } catch { result = .failure(error) }
        await store.close()
        await metadata.close()
        return ClusterAudit(
            metadataStore: metadataStoreURL, objectStore: store.url, graceSeconds: grace.inSeconds, repairs: repairs,
            modes: try result.get())
    }

    /// That a partition was deleted is remembered for so long, and the grace: what comes later than that nobody waits for.
    private static let deletionMemory = Duration.seconds(24 * 3_600)

    static func modes(
        store: any ObjectStore, metadata: any MetadataStore, clock: any Clock, repairs: Bool, grace: Duration
    ) async throws -> [ObjectAuditReport] {
        let now = clock.wallMilliseconds()
        let tiered = ObjectAudit(
            store, mode: "tiered", prefixes: TierAudit.prefixes, graceMilliseconds: grace.inMilliseconds, nowMilliseconds: now)
        let shared = ObjectAudit(
            store, mode: "shared", prefixes: SharedAudit.prefixes, graceMilliseconds: grace.inMilliseconds, nowMilliseconds: now)
        let reports = [
            try await tiered.run(repairs: repairs) { try await TierAudit.expectations(in: metadata) },
            try await shared.run(repairs: repairs) { try await SharedAudit.expectations(in: metadata, clock: clock) },
        ]
        if repairs {
            let bound = now - deletionMemory.inMilliseconds - grace.inMilliseconds
            try await TierAudit.forgetDeletions(in: metadata, before: Timestamp(bound))
        }
        return reports
    }
}
