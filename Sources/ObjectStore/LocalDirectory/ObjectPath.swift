//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Object keys as file names, so that no key leaves the directory, no two keys share a file, and a walk of the tree in name order
/// gives the keys in byte order.
///
/// ```
/// key    topics/t-0/00000000.log        file   topics+/t-0+/00000000.log
/// key    a//../ü                        file   a+/%+/%2E.+/%C3%BC
/// ```
///
/// A part of a key that has more parts below it is a directory named `part+`, so a key may also be the beginning of another one.
/// Bytes other than letters, digits, `-`, `_` and `.` become `%XX`, and so does a leading dot; an empty part is `%`. A part whose
/// escaped form reaches ``chunkLength`` bytes continues inside a directory named `chunk%`, as file systems end names at 255 bytes.
package enum ObjectPath {
    /// S3's limit, in bytes of UTF-8.
    package static let keyLengthMax = 1_024
    static let chunkLength = 200

    /// The path of a key below the objects' directory; nil if the key is empty or too long.
    package static func path(ofKey key: String) -> String? {
        let bytes = Array(key.utf8)
        guard !bytes.isEmpty, bytes.count <= keyLengthMax else { return nil }
        var path: [UInt8] = []
        path.reserveCapacity(bytes.count + 16)
        var rest = bytes[...]
        while let slash = rest.firstIndex(of: UInt8(ascii: "/")) {
            appendPart(rest[..<slash], to: &path)
            path += [UInt8(ascii: "+"), UInt8(ascii: "/")]
            rest = rest[(slash + 1)...]
        }
        appendPart(rest, to: &path)
        return String(decoding: path, as: UTF8.self)
    }

    private static func appendPart(_ part: ArraySlice<UInt8>, to path: inout [UInt8]) {
        var rest = part
        while true {
            var chunk: [UInt8] = []
            while chunk.count < chunkLength, let byte = rest.popFirst() {
                let isLeadingDot = byte == UInt8(ascii: ".") && chunk.isEmpty
                if isPlain(byte), !isLeadingDot {
                    chunk.append(byte)
                } else {
                    chunk += [UInt8(ascii: "%"), hexDigit(byte >> 4), hexDigit(byte & 15)]
                }
            }
            if chunk.count >= chunkLength {
                // Even when nothing is left: whatever begins with these bytes must lie in one directory, or a walk would not meet
                // the keys in order.
                path += chunk + [UInt8(ascii: "%"), UInt8(ascii: "/")]
                continue
            }
            path += chunk.isEmpty ? [UInt8(ascii: "%")] : chunk
            return
        }
    }

    /// What a name in the tree stands for.
    enum Name {
        /// The key's last part, or the rest of it.
        case object([UInt8])
        /// The bytes with which all keys below begin, a `/` at the end where a part ends.
        case directory([UInt8])
    }

    /// nil for a name that no key makes.
    static func decode(_ name: String, isDirectory: Bool) -> Name? {
        var escaped = Array(name.utf8)[...]
        guard isDirectory else { return unescape(escaped).map { .object($0) } }
        guard let mark = escaped.popLast() else { return nil }
        guard let bytes = unescape(escaped) else { return nil }
        switch mark {
        case UInt8(ascii: "+"): return .directory(bytes + [UInt8(ascii: "/")])
        case UInt8(ascii: "%"): return escaped.count >= chunkLength ? .directory(bytes) : nil
        default: return nil
        }
    }

    private static func unescape(_ escaped: ArraySlice<UInt8>) -> [UInt8]? {
        if escaped.count == 1, escaped.first == UInt8(ascii: "%") { return [] }
        guard let first = escaped.first, first != UInt8(ascii: ".") else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(escaped.count)
        var rest = escaped
        while let byte = rest.popFirst() {
            if isPlain(byte) {
                bytes.append(byte)
            } else if byte == UInt8(ascii: "%"), let high = rest.popFirst().flatMap(hexValue),
                let low = rest.popFirst().flatMap(hexValue)
            {
                bytes.append(high << 4 | low)
            } else {
                return nil
            }
        }
        return bytes
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
