//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine

/// A setting's name, type, default and what it may be: what DescribeConfigs tells and what every change is held against.
package struct ConfigDefinition: Sendable {
    /// Raw values are Kafka's, as in DescribeConfigs version 3.
    package enum Kind: Int8, Sendable, Hashable {
        case boolean = 1
        case string = 2
        case int = 3
        case short = 4
        case long = 5
        case double = 6
        case list = 7
        case classReference = 8
        case password = 9
    }

    package enum Allowed: Sendable, Hashable {
        case anything
        /// A whole number.
        case numbers(ClosedRange<Int64>)
        case fraction(ClosedRange<Double>)
        case oneOf([String])
        /// A list of these, without repetition.
        case listOf([String])
        /// `*`, or `partition:broker` pairs (KIP-73).
        case throttledReplicas
        /// Only this, and why.
        case only(String, because: String)
    }

    /// A broker setting that gives a topic setting its default, and what its unit is in the topic's.
    package struct Synonym: Sendable, Hashable {
        package var name: String
        package var factor: Int64

        package init(_ name: String, factor: Int64 = 1) {
            self.name = name
            self.factor = factor
        }
    }

    package var name: String
    package var kind: Kind
    package var defaultValue: String?
    package var allowed: Allowed
    /// The first found counts.
    package var synonyms: [Synonym]
    package var documentation: String

    package init(
        _ name: String, _ kind: Kind, _ defaultValue: String?, _ allowed: Allowed, synonyms: [Synonym] = [],
        _ documentation: String
    ) {
        self.name = name
        self.kind = kind
        self.defaultValue = defaultValue
        self.allowed = allowed
        self.synonyms = synonyms
        self.documentation = documentation
    }

    package init(
        _ name: String, _ kind: Kind, _ defaultValue: String?, synonyms: [Synonym] = [], _ documentation: String
    ) {
        self.init(name, kind, defaultValue, .anything, synonyms: synonyms, documentation)
    }

    /// Passwords are never told.
    package var isSensitive: Bool { kind == .password }

    /// - Throws: ``ConfigProblem`` that names the setting, the value and what is allowed.
    package func check(_ value: String) throws(ConfigProblem) {
        func refuse(_ allowed: String) -> ConfigProblem { ConfigProblem(name: name, value: value, allowed: allowed) }
        switch kind {
        case .boolean:
            guard ["true", "false"].contains(value.lowercased()) else { throw refuse("true or false") }
        case .int, .short, .long:
            guard let number = Int64(value), Self.range(of: kind).contains(number) else { throw refuse("a whole number") }
        case .double:
            guard Double(value) != nil else { throw refuse("a number") }
        case .string, .list, .classReference, .password: break
        }
        switch allowed {
        case .anything: break
        case .numbers(let range):
            guard let number = Int64(value), range.contains(number) else {
                let upper = range.upperBound >= Self.range(of: kind).upperBound ? "" : " to \(range.upperBound)"
                throw refuse("a whole number from \(range.lowerBound)\(upper)")
            }
        case .fraction(let range):
            guard let number = Double(value), range.contains(number) else {
                throw refuse("a number from \(range.lowerBound) to \(range.upperBound)")
            }
        case .oneOf(let choices):
            guard choices.contains(value) else { throw refuse("one of " + choices.joined(separator: ", ")) }
        case .listOf(let choices):
            let items = Self.items(of: value)
            guard Set(items).count == items.count, items.allSatisfy(choices.contains) else {
                throw refuse("a list of " + choices.joined(separator: ", "))
            }
        case .throttledReplicas:
            guard ThrottledReplicas(value) != nil else { throw refuse("* or partition:broker pairs with commas between") }
        case .only(let one, let reason):
            guard value.lowercased() == one else { throw refuse("\(one), because \(reason)") }
        }
    }

    private static func range(of kind: Kind) -> ClosedRange<Int64> {
        switch kind {
        case .short: Int64(Int16.min)...Int64(Int16.max)
        case .int: Int64(Int32.min)...Int64(Int32.max)
        default: Int64.min...Int64.max
        }
    }

    /// The items of a list setting.
    package static func items(of list: String) -> [String] {
        list.split(separator: ",").map { $0.drop { $0 == " " } }.map { item in
            var item = item
            while item.last == " " { item.removeLast() }
            return String(item)
        }.filter { !$0.isEmpty }
    }
}

/// A setting that cannot be: which, what it was, what is allowed.
package struct ConfigProblem: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    package init(name: String, value: String, allowed: String) { description = "\(name)=\(value): allowed is \(allowed)" }
}
