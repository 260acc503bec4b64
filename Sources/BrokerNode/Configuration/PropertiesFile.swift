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

    /// Java reads code units, not what they look like together: a combining accent after `=` is the value's first character.
    package init(parsing text: String) throws(SyntaxError) {
        var lines = Self.lines(of: text)[...]
        var number = 0
        while let first = lines.popFirst() {
            number += 1
            let start = number
            var logical = Array(first.drop(while: Self.isBlank))
            guard let lead = logical.first, lead != "#", lead != "!" else { continue }
            while Self.continues(logical), let next = lines.popFirst() {
                number += 1
                logical.removeLast()
                logical += next.drop(while: Self.isBlank)
            }
            entries.append(try Self.entry(of: logical, line: start))
        }
    }

    /// Ended by a line feed, a carriage return, or both.
    private static func lines(of text: String) -> [[Unicode.Scalar]] {
        var lines: [[Unicode.Scalar]] = [[]]
        var previous: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            if scalar == "\n", previous == "\r" {
                // The second half of one end.
            } else if scalar == "\n" || scalar == "\r" {
                lines.append([])
            } else {
                lines[lines.count - 1].append(scalar)
            }
            previous = scalar
        }
        return lines
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" || scalar == "\u{0C}" }

    private static func continues(_ line: [Unicode.Scalar]) -> Bool { line.reversed().prefix { $0 == "\\" }.count % 2 == 1 }

    private static func entry(of line: [Unicode.Scalar], line number: Int) throws(SyntaxError) -> Entry {
        var key = String.UnicodeScalarView()
        var rest = line[...]
        while let scalar = rest.first, scalar != "=", scalar != ":", !isBlank(scalar) {
            rest.removeFirst()
            key.append(scalar == "\\" ? try unescape(&rest, line: number) : scalar)
        }
        rest = rest.drop(while: isBlank)
        if let separator = rest.first, separator == "=" || separator == ":" { rest = rest.dropFirst().drop(while: isBlank) }
        var value = String.UnicodeScalarView()
        while let scalar = rest.popFirst() { value.append(scalar == "\\" ? try unescape(&rest, line: number) : scalar) }
        guard !key.isEmpty else { throw SyntaxError(line: number, problem: "a value without a key") }
        return Entry(key: String(key), value: String(value), line: number)
    }

    private static func unescape(_ rest: inout ArraySlice<Unicode.Scalar>, line: Int) throws(SyntaxError) -> Unicode.Scalar {
        guard let scalar = rest.popFirst() else { return "\\" }
        switch scalar {
        case "t": return "\t"
        case "n": return "\n"
        case "r": return "\r"
        case "f": return "\u{0C}"
        case "u":
            let digits = rest.prefix(4)
            var text = String.UnicodeScalarView()
            text.append(contentsOf: digits)
            guard digits.count == 4, digits.allSatisfy(\.properties.isASCIIHexDigit), let code = UInt32(String(text), radix: 16),
                let scalar = Unicode.Scalar(code)
            else { throw SyntaxError(line: line, problem: "\\u wants four hex digits of a character") }
            rest.removeFirst(4)
            return scalar
        default: return scalar
        }
    }
}
