//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ObjectStore

extension BrokerConfiguration {
    /// Whether `object.store.url` can be read at all; nothing is opened.
    package static func checkObjectStoreURL(_ url: String) throws(ConfigurationError) {
        do throws(ObjectStoreError) { _ = try ObjectStoreURL(parsing: url) } catch {
            throw ConfigurationError("object.store.url: \(error)")
        }
    }
}
