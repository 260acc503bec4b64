//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerNode

/// A `server.properties` is read, and written plainly reads as the same, or is refused with the line that is wrong. What is read makes a
/// configuration, or one that is refused with a reason.
func fuzzProperties(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    let text = String(decoding: bytes, as: UTF8.self)
    // At the most: a carriage return and a line feed may be one end.
    let lines = 1 + text.unicodeScalars.count { $0 == "\n" || $0 == "\r" }
    let file: PropertiesFile
    do throws(PropertiesFile.SyntaxError) { file = try PropertiesFile(parsing: text) } catch {
        return try demand((1...lines).contains(error.line), "line \(error.line) of \(lines) is refused")
    }
    try demand(
        file.entries.allSatisfy { !$0.key.isEmpty && (1...lines).contains($0.line) }, "an entry has no name, or lies on no line")
    let again: PropertiesFile
    do throws(PropertiesFile.SyntaxError) {
        again = try PropertiesFile(parsing: file.entries.map(plain).joined(separator: "\n"))
    } catch { throw FuzzFinding("entries that were read are refused as they are written: \(error)") }
    // Compared by code points: text that looks alike is alike to Swift.
    func scalars(_ entries: [PropertiesFile.Entry]) -> [[Unicode.Scalar]] {
        entries.flatMap { [Array($0.key.unicodeScalars), Array($0.value.unicodeScalars)] }
    }
    try demand(scalars(again.entries) == scalars(file.entries), "entries change when they are written")
    do throws(ConfigurationError) { _ = try BrokerConfiguration(ConfigurationValues(file), alsoKnown: []) } catch {
        try demand(!error.description.isEmpty, "a configuration is refused without a reason")
    }
}

/// As one line, what has a meaning escaped.
private func plain(_ entry: PropertiesFile.Entry) -> String {
    func escaped(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            switch scalar {
            case "\t": "\\t"
            case "\n": "\\n"
            case "\r": "\\r"
            case "\u{0C}": "\\f"
            case "\\", "=", ":", " ", "#", "!": "\\\(scalar)"
            default: String(Character(scalar))
            }
        }.joined()
    }
    return "\(escaped(entry.key))=\(escaped(entry.value))"
}
