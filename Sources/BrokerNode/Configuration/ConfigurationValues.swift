//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A setting that cannot be used: which, what it was, what is allowed.
package struct ConfigurationError: Error, Hashable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    package init(key: String, value: String, allowed: String) {
        description = "\(key)=\(value): allowed is \(allowed)"
    }
}

/// The settings as text, and typed ways to take them out. Remembers which keys were asked for, so that the rest can be named.
package struct ConfigurationValues: Sendable {
    private var values: [String: String]
    private var known: Set<String> = []

    package init(_ values: [String: String]) { self.values = values }

    package init(_ file: PropertiesFile) {
        self.init(Dictionary(file.entries.map { ($0.key, $0.value.trimmed) }, uniquingKeysWith: { $1 }))
    }

    /// Keys that nobody asked for, in order.
    package var unknownKeys: [String] { values.keys.filter { !known.contains($0) }.sorted() }
    package var all: [String: String] { values }

    package mutating func expect(_ keys: some Sequence<String>) { known.formUnion(keys) }

    package mutating func text(_ key: String) -> String? {
        known.insert(key)
        return values[key]
    }

    package mutating func text(_ key: String, default fallback: String) -> String { text(key) ?? fallback }

    package mutating func integer(
        _ key: String, default fallback: Int64, in range: ClosedRange<Int64> = 0...Int64.max
    ) throws(ConfigurationError) -> Int64 {
        guard let text = text(key) else { return fallback }
        guard let value = Int64(text), range.contains(value) else {
            let upper = range.upperBound == .max ? "" : " up to \(range.upperBound)"
            throw ConfigurationError(key: key, value: text, allowed: "a whole number from \(range.lowerBound)\(upper)")
        }
        return value
    }

    package mutating func optionalInteger(_ key: String, in range: ClosedRange<Int64>) throws(ConfigurationError) -> Int64? {
        guard text(key) != nil else { return nil }
        return try integer(key, default: 0, in: range)
    }

    package mutating func boolean(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
        guard let text = text(key) else { return fallback }
        switch text.lowercased() {
        case "true": return true
        case "false": return false
        default: throw ConfigurationError(key: key, value: text, allowed: "true or false")
        }
    }

    package mutating func choice(_ key: String, default fallback: String, among allowed: [String]) throws(ConfigurationError)
        -> String
    {
        guard let text = text(key) else { return fallback }
        guard allowed.contains(text) else {
            throw ConfigurationError(key: key, value: text, allowed: "one of \(allowed.joined(separator: ", "))")
        }
        return text
    }

    /// Milliseconds.
    package mutating func duration(
        _ key: String, default fallback: Int64, in range: ClosedRange<Int64> = 0...Int64.max
    ) throws(ConfigurationError) -> Duration {
        .milliseconds(try integer(key, default: fallback, in: range))
    }
}

extension String {
    package var trimmed: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        return String(text)
    }
}
