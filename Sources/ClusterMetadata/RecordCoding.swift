//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel

/// Records as bytes of the store: JSON with sorted keys, so that equal records are equal bytes.
enum RecordCoding {
    static func encode(_ record: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(record))
        } catch {
            // The records hold integers, text and lists only; all of these have a JSON form.
            preconditionFailure("a record could not be encoded: \(error)")
        }
    }

    static func decode<Record: Decodable>(_ type: Record.Type, from stored: StoredValue) throws(MetadataStoreError) -> Record {
        do {
            return try JSONDecoder().decode(type, from: Data(stored.value))
        } catch {
            throw MetadataStoreError(
                .corrupt,
                "the metadata record \(stored.key) cannot be read as \(type): it is damaged, or a newer version wrote it; start that version, "
                    + "or put back a copy of the store")
        }
    }

    static func encode(decimal: Int64) -> [UInt8] { Array(String(decimal).utf8) }

    static func decodeDecimal(_ stored: StoredValue) throws(MetadataStoreError) -> Int64 {
        guard let number = Int64(String(decoding: stored.value, as: UTF8.self)) else {
            throw MetadataStoreError(
                .corrupt, "the metadata record \(stored.key) is not a number: it is damaged; put back a copy of the store")
        }
        return number
    }
}
