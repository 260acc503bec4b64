//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment

/// What a program that starts brokers does with an object store itself. Its requests are counted by nobody.
package enum ObjectStoreTool {
    /// The trial that every broker makes at its start, for whoever wants to know before it starts any.
    ///
    /// - Throws: One line that names the store, what is wrong and what to do.
    package static func check(_ url: String) async throws {
        try await with(url) { store throws(ObjectStoreError) in
            try await ObjectStoreProbe.check(store, environment: .system)
        }
    }

    /// Removes every object below the URL's prefix.
    package static func removeAll(below url: String) async throws {
        try await with(url) { store throws(ObjectStoreError) in
            while true {
                let page = try await store.list(prefix: "", startAfter: nil, maxKeys: 1_000)
                guard !page.objects.isEmpty else { return }
                try await store.delete(page.objects.map(\.key))
            }
        }
    }

    private static func with(_ url: String, _ body: (any ObjectStore) async throws(ObjectStoreError) -> Void) async throws {
        let store = try ObjectStoreURL.open(
            url, environment: .system, meters: Meters(), credentials: ProcessInfo.processInfo.environment)
        do {
            try await body(store)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }
}
