//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Kafka's rules for the names of topics (`Topic.validate`, KIP-559 for the length).
package enum TopicName {
    /// - Returns: What is wrong with the name; nil if nothing is.
    package static func fault(in name: String) -> String? {
        if name.isEmpty { return "a topic's name must not be empty" }
        if name == "." || name == ".." { return "a topic cannot be called '\(name)'" }
        if name.utf8.count > TopicLimits.nameLengthMax {
            return "a topic's name has at most \(TopicLimits.nameLengthMax) characters; this one has \(name.utf8.count)"
        }
        guard name.utf8.allSatisfy(isAllowed) else {
            return "the topic name \(name.debugDescription) holds other characters than ASCII letters, digits, '.', '_' and '-'"
        }
        return nil
    }

    /// Names that differ only in '.' and '_' would share the names of their metrics, so Kafka allows one of them only.
    package static func collide(_ left: String, _ right: String) -> Bool { unified(left) == unified(right) }

    static func unified(_ name: String) -> String {
        name.utf8.contains(UInt8(ascii: ".")) ? String(name.map { $0 == "." ? "_" : $0 }) : name
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
