//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Testing

@Suite struct PropertiesFileTests {
    private func pairs(_ text: String) throws -> [[String]] {
        try PropertiesFile(parsing: text).entries.map { [$0.key, $0.value] }
    }

    @Test func separatorsAreEqualsColonAndBlank() throws {
        #expect(try pairs("a=1\nb: 2\nc 3\n d = 4\ne") == [["a", "1"], ["b", "2"], ["c", "3"], ["d", "4"], ["e", ""]])
    }

    @Test func commentsAndEmptyLinesAreNoEntries() throws {
        #expect(try pairs("# a=1\n! b=2\n\n   \n  # c\nd=#4") == [["d", "#4"]])
    }

    @Test func aBackslashAtTheEndGoesOn() throws {
        let file = try PropertiesFile(parsing: "a=1,\\\n   2\nb=\\\\\nc=3")
        #expect(file.entries.map(\.value) == ["1,2", "\\", "3"])
        #expect(file.entries.map(\.line) == [1, 3, 4])
    }

    @Test func escapesAreUndone() throws {
        #expect(try pairs("a\\=b=c\\td\nu=\\u0041") == [["a=b", "c\td"], ["u", "A"]])
    }

    @Test(arguments: [("a=1\n=2", 2), ("\n\na=\\u00zz", 3), ("a=\\ud800", 1)])
    func anErrorNamesItsLine(text: String, line: Int) {
        let error = #expect(throws: PropertiesFile.SyntaxError.self) { _ = try PropertiesFile(parsing: text) }
        #expect(error?.line == line)
        #expect(error.map { "\($0)".hasPrefix("line \(line): ") } == true)
    }

    @Test func theLastOfARepeatedKeyCounts() throws {
        #expect(ConfigurationValues(try PropertiesFile(parsing: "a=1\na=2 \n")).all == ["a": "2"])
    }

    /// Found by the fuzzer: what looks like one character with `=` is not the separator to Swift, and is to Java.
    @Test func aValueMayBeginWithACombiningMark() throws {
        let entry = try #require(try PropertiesFile(parsing: "key=\u{301}x").entries.first)
        #expect(entry.key == "key")
        #expect(Array(entry.value.unicodeScalars) == ["\u{301}", "x"])
    }

    /// White space, as in Java, and no end of a line.
    @Test func aFormFeedEndsNoLine() throws {
        let file = try PropertiesFile(parsing: "\u{0C}a =\u{0C}1\u{0C}2\r\nb=3\rc=4")
        #expect(file.entries.map(\.value) == ["1\u{0C}2", "3", "4"])
        #expect(file.entries.map(\.line) == [1, 2, 3])
    }
}
