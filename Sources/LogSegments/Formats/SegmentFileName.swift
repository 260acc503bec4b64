//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// The files of a partition's directory, by the end of their names. A segment's files begin with its base offset, 20 digits.
package enum SegmentFileKind: String, Sendable, CaseIterable {
    case log
    case offsetIndex = "index"
    case timeIndex = "timeindex"
    case transactionIndex = "txnindex"
    /// Named by the offset up to (not including) which it tells the producers' state.
    case producerSnapshot = "snapshot"

    package func name(_ baseOffset: Offset) -> String { "\(Self.digits(baseOffset)).\(rawValue)" }

    static func digits(_ offset: Offset) -> String {
        let digits = String(offset.rawValue)
        return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
    }

    /// The kind and offset that `name` tells; nil for any other file. Names with a further suffix are other files.
    package static func parse(_ name: String) -> (kind: SegmentFileKind, offset: Offset)? {
        guard let dot = name.firstIndex(of: "."), let kind = SegmentFileKind(rawValue: String(name[name.index(after: dot)...])),
            name.utf8.distance(from: name.startIndex, to: dot) == 20, let offset = Int64(name[..<dot]),
            offset >= 0, Offset(offset) <= .largest
        else { return nil }
        return (kind, Offset(offset))
    }

    /// Waits for its end: the file's name is gone, its bytes are not yet.
    package static let deletedSuffix = ".deleted"
    /// A compaction's unfinished output.
    package static let cleanedSuffix = ".cleaned"
    /// A compaction's finished output, not yet in its place.
    package static let swapSuffix = ".swap"
    /// Ends the name of a deleted partition's directory.
    package static let deletedDirectorySuffix = "-delete"
    /// Set aside: nobody is known to want it, nobody is known to have deleted it. Left alone.
    package static let strayDirectorySuffix = "-stray"
    /// Ends the name of a directory with a partition's copy that is to take the place of the one in another log directory (KIP-113).
    package static let futureDirectorySuffix = "-future"
}

extension Offset {
    /// No log comes near it; beyond it, sums with what a segment or a batch may span would leave 64 bits.
    static let largest = Offset(Int64.max - (1 << 40))
}
