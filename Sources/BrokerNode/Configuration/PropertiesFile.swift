//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Java's `.properties` text, as Kafka reads `server.properties`: `key=value`, `key: value` or `key value`, `#` and `!` comments,
/// backslash at the end of a line to go on, and escapes.
package struct PropertiesFile: Sendable {
    package struct Entry: Sendable, Hashable {
        package var key: String
        package var value: String
        /// Of the entry's first line, from 1.
        package var line: Int
    }

    package struct SyntaxError: Error, Hashable, CustomStringConvertible {
        package var line: Int
        package var problem: String
        package var description: String { "line \(line): \(problem)" }
    }

    /// In file order; the last of a repeated key counts.
    package var entries: [Entry] = []

    package init(parsing text: String) throws(SyntaxError) {
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }[...]
        var number = 0
        while let first = lines.popFirst() {
            number += 1
            let start = number
            var logical = String(first.drop { $0 == " " || $0 == "\t" || $0 == "\u{0C}" })
            guard let lead = logical.first, lead != "#", lead != "!" else { continue }
            while Self.continues(logical), let next = lines.popFirst() {
                number += 1
                logical.removeLast()
                logical += next.drop { $0 == " " || $0 == "\t" || $0 == "\u{0C}" }
            }
            entries.append(try Self.entry(of: logical, line: start))
        }
    }

    private static func continues(_ line: String) -> Bool {
        line.reversed().prefix { $0 == "\\" }.count % 2 == 1
    }

    private static func entry(of line: String, line number: Int) throws(SyntaxError) -> Entry {
        var key = ""
        var rest = Substring(line)
        while let character = rest.first, !"=: \t\u{0C}".contains(character) {
            rest.removeFirst()
            key.append(character == "\\" ? try unescape(&rest, line: number) : character)
        }
        rest = rest.drop { " \t\u{0C}".contains($0) }
        if let separator = rest.first, separator == "=" || separator == ":" {
            rest = rest.dropFirst().drop { " \t\u{0C}".contains($0) }
        }
        var value = ""
        while let character = rest.popFirst() {
            value.append(character == "\\" ? try unescape(&rest, line: number) : character)
        }
        guard !key.isEmpty else { throw SyntaxError(line: number, problem: "a value without a key") }
        return Entry(key: key, value: value, line: number)
    }

    private static func unescape(_ rest: inout Substring, line: Int) throws(SyntaxError) -> Character {
        guard let character = rest.popFirst() else { return "\\" }
        switch character {
        case "t": return "\t"
        case "n": return "\n"
        case "r": return "\r"
        case "f": return "\u{0C}"
        case "u":
            let digits = rest.prefix(4)
            guard digits.count == 4, let code = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(code) else {
                throw SyntaxError(line: line, problem: "\\u wants four hex digits of a character")
            }
            rest.removeFirst(4)
            return Character(scalar)
        default: return character
        }
    }
}
