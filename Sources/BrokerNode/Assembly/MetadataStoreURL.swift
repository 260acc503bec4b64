//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import Foundation
internal import RuntimeEnvironment

enum MetadataStoreURL {
    /// False where opening it would make it.
    static func exists(_ url: String) -> Bool {
        !url.hasPrefix("sqlite://") || FileManager.default.fileExists(atPath: String(url.dropFirst("sqlite://".count)))
    }

    /// Opens what `metadata.store.url` names.
    static func open(_ url: String, clock: any Clock) throws -> any MetadataStore {
        let prefix = "sqlite://"
        guard url.hasPrefix(prefix), url.count > prefix.count else {
            throw ConfigurationError(
                key: "metadata.store.url", value: url, allowed: "sqlite:///FILE (etcd://HOST:PORT is not there yet)")
        }
        return try SQLiteMetadataStore(path: String(url.dropFirst(prefix.count)), clock: clock)
    }
}
