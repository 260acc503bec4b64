//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// The file `partition.metadata`: `version: 0` and `topic_id: <22 characters>`.
package enum PartitionMetadata {
    package static let fileName = "partition.metadata"

    package static func encode(_ topic: TopicID) -> ByteBuffer { ByteBuffer(string: "version: 0\ntopic_id: \(topic)") }

    /// - Returns: nil if the text names no topic.
    package static func decode(_ bytes: ByteBuffer) -> TopicID? {
        for line in String(buffer: bytes).split(separator: "\n") where line.hasPrefix("topic_id:") {
            return TopicID(base64: line.dropFirst("topic_id:".count).filter { $0 != " " && $0 != "\r" })
        }
        return nil
    }

    /// `topic-3` → ("topic", 3); nil for a directory that is no partition's.
    package static func parseDirectoryName(_ name: String) -> (topic: String, partition: Int32)? {
        guard let dash = name.lastIndex(of: "-"), dash != name.startIndex, let number = Int32(name[name.index(after: dash)...]),
            number >= 0
        else { return nil }
        return (String(name[..<dash]), number)
    }
}

extension TopicID {
    /// Reads Kafka's text form back: 22 characters of URL-safe base64 without padding.
    package init?(base64 text: some StringProtocol) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        guard text.utf8.count == 22 else { return nil }
        for (index, byte) in text.utf8.enumerated() {
            let digit: UInt64
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = UInt64(byte - UInt8(ascii: "A"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = UInt64(byte - UInt8(ascii: "a")) + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = UInt64(byte - UInt8(ascii: "0")) + 52
            case UInt8(ascii: "-"): digit = 62
            case UInt8(ascii: "_"): digit = 63
            default: return nil
            }
            // 22 digits are 132 bits: of the last digit only the upper two belong to the id.
            let bits: UInt64 = index == 21 ? 2 : 6
            let value = index == 21 ? digit >> 4 : digit
            high = high << bits | low >> (64 - bits)
            low = low << bits | value
        }
        self.init(high: high, low: low)
    }
}
