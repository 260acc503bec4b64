//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A column of a comparison: a storage mode as it is, or one with something set otherwise, named `mode+what`.
package struct ModeVariant: Sendable, Hashable {
    package let name: String
    /// What sets it apart from the mode of the same name, for the report.
    package let meaning: String
    /// Broker settings on top of the mode's.
    package let properties: [String: String]

    /// Of the mode before the `+`.
    package var storageMode: String { Self.storageMode(of: name) }

    package static let all = [
        ModeVariant(name: "isr", meaning: "", properties: [:]),
        ModeVariant(
            name: "tiered", meaning: "new followers begin where the leader's volume does",
            properties: ["follower.fetch.last.tiered.offset.enable": "false"]),
        ModeVariant(
            name: "tiered+last-tiered", meaning: "new followers begin where the leader's tier ends (KIP-1023)",
            properties: ["follower.fetch.last.tiered.offset.enable": "true"]),
        ModeVariant(
            name: "shared", meaning: "a move closes the stream, then uploads behind",
            properties: ["stream.close.strategy": "close-first"]),
        ModeVariant(
            name: "shared+upload-first", meaning: "a move uploads, then closes the stream",
            properties: ["stream.close.strategy": "upload-first"]),
        ModeVariant(
            name: "shared+object-wal", meaning: "the write-ahead log lies in the object store: brokers without a disk",
            properties: ["stream.close.strategy": "close-first", "wal.path": "object:"]),
    ]
    package static let names = all.map(\.name)
    /// Compared unless told otherwise.
    package static let standardNames = ["isr", "tiered", "shared"]

    package static func named(_ name: String) -> ModeVariant? { all.first { $0.name == name } }

    package static func storageMode(of name: String) -> String { String(name.prefix { $0 != "+" }) }

    /// The name as a part of paths, keys and style names.
    package static func plainName(of name: String) -> String { String(name.map { $0 == "+" ? "-" : $0 }) }
}
