//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// What a comparison itself asks of the object store that the user named; the brokers use their own.
package protocol ObjectStoreAccess: Sendable {
    /// Tries with one small object whether the store does what the engines rely on.
    ///
    /// - Throws: One line that names the store, what is wrong and what to do.
    func check(_ url: String) async throws

    /// Removes every object below the URL's prefix.
    func removeAll(below url: String) async throws
}

/// Where one mode of one run keeps its objects: a place of its own below what the user named, so that neither an earlier run's objects
/// nor the other mode's are counted, and all of it can be removed.
package struct ObjectPlace: Sendable, Hashable {
    package let url: String
    /// Copies of each object: made by the local store, or declared by the user.
    package let copies: Double
    /// nil for an endpoint, whose copies cannot be counted from here.
    package let directory: String?
    /// The user said `copies=N`; else an endpoint's objects are counted once.
    package let saysCopies: Bool

    /// - Parameters:
    ///   - url: As the user gave it; nil for a directory of three copies below `ownDirectory`.
    ///   - runName: Tells this run's objects at an endpoint from others'.
    package init(_ url: String?, ownDirectory: String, mode: String, runName: String) {
        guard let url else {
            directory = "\(ownDirectory)/objects"
            self.url = "file://\(ownDirectory)/objects?copies=3"
            copies = 3
            saysCopies = true
            return
        }
        let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let query = parts.count > 1 ? "?" + parts[1] : ""
        var base = parts[0]
        while base.hasSuffix("/") { base.removeLast() }
        let isLocal = base.hasPrefix("file://")
        base += isLocal ? "/ninefold-\(mode)" : "/\(runName)/\(mode)"
        self.url = base + query
        directory = isLocal ? (base.dropFirst("file://".count).removingPercentEncoding ?? String(base.dropFirst(7))) : nil
        let said = query.dropFirst().split(separator: "&").first { $0.hasPrefix("copies=") }.flatMap { Double($0.dropFirst(7)) }
        copies = said ?? 1
        saysCopies = said != nil
    }

    package var isLocal: Bool { directory != nil }
    /// `measured` or `declared`.
    package var basis: String { isLocal ? "measured" : "declared" }
}
