//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A piece of an XML answer: name without its namespace prefix, text without the children's.
package struct XMLElement: Sendable {
    package var name: String
    package var text: String
    package var children: [XMLElement]

    package init(name: String, text: String = "", children: [XMLElement] = []) {
        self.name = name
        self.text = text
        self.children = children
    }

    package func first(_ name: String) -> XMLElement? { children.first { $0.name == name } }
    package func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
    /// The text of the first child of that name.
    package func text(of name: String) -> String? { first(name)?.text }

    /// What must be escaped in the XML we send.
    package static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "\r": escaped += "&#13;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// Why an answer is not the XML we can read.
package struct XMLError: Error, Sendable, CustomStringConvertible {
    package var description: String
    /// Bytes from the document's start.
    package var position: Int
}

/// Reads the small XML documents that S3 endpoints answer with: elements, text, the five named entities, character references, CDATA.
/// Attributes, comments and processing instructions are skipped. A document type is refused, and with it every entity that expands:
/// no answer can make more of itself than its own length.
package struct XMLReader {
    package static let depthMax = 32
    /// A page of 1,000 keys has some 10,000.
    package static let elementsMax = 100_000

    private let bytes: [UInt8]
    private var position = 0
    private var elements = 0

    package static func read(_ bytes: some Sequence<UInt8>) throws(XMLError) -> XMLElement {
        var reader = XMLReader(bytes: Array(bytes))
        return try reader.document()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private struct Open {
        var name: [UInt8]
        var text: [UInt8] = []
        var children: [XMLElement] = []
    }

    private mutating func document() throws(XMLError) -> XMLElement {
        // No recursion: a hostile answer could nest more deeply than the stack.
        var open: [Open] = []
        while position < bytes.count {
            if !starts(with: "<") {
                let text = try characters()
                if !open.isEmpty {
                    open[open.count - 1].text += text
                } else if !text.allSatisfy(Self.isSpace), !text.starts(with: [0xEF, 0xBB, 0xBF]) {
                    throw failure("text outside of the document")
                }
            } else if starts(with: "<!--") {
                try skip(past: "-->")
            } else if starts(with: "<![CDATA[") {
                position += 9
                let start = position
                try skip(past: "]]>")
                guard !open.isEmpty else { throw failure("text outside of the document") }
                open[open.count - 1].text += bytes[start..<(position - 3)]
            } else if starts(with: "<!") {
                throw failure("a document type, which is not accepted")
            } else if starts(with: "<?") {
                try skip(past: "?>")
            } else if starts(with: "</") {
                position += 2
                let name = try name()
                skipSpaces()
                guard take(">") else { throw failure("a broken end tag") }
                guard let last = open.popLast(), last.name == name else { throw failure("an end tag without its beginning") }
                let element = XMLElement(
                    name: Self.localName(last.name), text: String(decoding: last.text, as: UTF8.self), children: last.children)
                if open.isEmpty { return element }
                open[open.count - 1].children.append(element)
            } else {
                position += 1
                let name = try name()
                elements += 1
                guard elements <= Self.elementsMax else { throw failure("more than \(Self.elementsMax) elements") }
                guard open.count < Self.depthMax else { throw failure("more than \(Self.depthMax) elements inside each other") }
                if try skipAttributes() {
                    let element = XMLElement(name: Self.localName(name))
                    if open.isEmpty { return element }
                    open[open.count - 1].children.append(element)
                } else {
                    open.append(Open(name: name))
                }
            }
        }
        throw failure("the document ends early")
    }

    /// - Returns: Whether the tag is an empty element's.
    private mutating func skipAttributes() throws(XMLError) -> Bool {
        while position < bytes.count {
            skipSpaces()
            if take(">") { return false }
            if take("/>") { return true }
            _ = try name()
            skipSpaces()
            guard take("=") else { throw failure("a broken attribute") }
            skipSpaces()
            if take("\"") {
                try skip(past: "\"")
            } else if take("'") {
                try skip(past: "'")
            } else {
                throw failure("a broken attribute")
            }
        }
        throw failure("the document ends early")
    }

    private mutating func name() throws(XMLError) -> [UInt8] {
        let start = position
        while position < bytes.count, !Self.isSpace(bytes[position]), !"<>/=\"'&".utf8.contains(bytes[position]) { position += 1 }
        guard position > start else { throw failure("a name is missing") }
        return Array(bytes[start..<position])
    }

    /// Text up to the next tag, entities resolved.
    private mutating func characters() throws(XMLError) -> [UInt8] {
        var text: [UInt8] = []
        while position < bytes.count, bytes[position] != UInt8(ascii: "<") {
            guard bytes[position] == UInt8(ascii: "&") else {
                text.append(bytes[position])
                position += 1
                continue
            }
            let limit = min(bytes.count, position + 12)
            guard let end = bytes[position..<limit].firstIndex(of: UInt8(ascii: ";")) else { throw failure("a broken entity") }
            let entity = String(decoding: bytes[(position + 1)..<end], as: UTF8.self)
            guard let character = Self.character(entity) else { throw failure("an unknown entity") }
            text += Array(String(character).utf8)
            position = end + 1
        }
        return text
    }

    private static func character(_ entity: String) -> Unicode.Scalar? {
        switch entity {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            guard entity.hasPrefix("#") else { return nil }
            let digits = entity.dropFirst()
            let code = digits.hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
            return code.flatMap { Unicode.Scalar($0) }
        }
    }

    private func starts(with text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard bytes.count - position >= length else { return false }
        return text.withUTF8Buffer { bytes[position..<(position + length)].elementsEqual($0) }
    }

    private mutating func take(_ text: StaticString) -> Bool {
        guard starts(with: text) else { return false }
        position += text.utf8CodeUnitCount
        return true
    }

    private mutating func skip(past end: StaticString) throws(XMLError) {
        while position < bytes.count {
            if take(end) { return }
            position += 1
        }
        throw failure("the document ends early")
    }

    private mutating func skipSpaces() {
        while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    private static func localName(_ name: [UInt8]) -> String {
        let local = name.lastIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name[...]
        return String(decoding: local, as: UTF8.self)
    }

    private func failure(_ reason: String) -> XMLError {
        XMLError(description: "\(reason), at byte \(position)", position: position)
    }
}
