//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ObjectStore
import RuntimeEnvironment
import Testing

@Suite struct XMLReaderTests {
    private func read(_ text: String) throws(XMLError) -> XMLElement { try XMLReader.read(text.utf8) }

    @Test func readsAListing() throws {
        let document = try read(
            """
            <?xml version="1.0" encoding="UTF-8"?>
            <!-- a > comment -->
            <ns:ListBucketResult xmlns:ns='http://s3.amazonaws.com/doc/2006-03-01/' a = "x>y">
              <ns:IsTruncated>false</ns:IsTruncated><Empty/><Empty a="b" />
              <Contents><Key>a&amp;b &lt;&#x41;&#66;&gt;&quot;&apos;</Key><Size>12</Size></Contents>
              <Contents><Key><![CDATA[<raw> & ]] ]]>tail</Key><Size>3</Size></Contents>
            </ns:ListBucketResult>
            """)
        #expect(document.name == "ListBucketResult")
        #expect(document.text(of: "IsTruncated") == "false")
        #expect(document.all("Empty").count == 2)
        #expect(document.all("Contents").map { $0.text(of: "Key") } == ["a&b <AB>\"'", "<raw> & ]] tail"])
    }

    @Test(arguments: [
        "", "   ", "text", "<", "<a", "<a>", "<a></b>", "<a><b></a></b>", "</a>", "<a b></a>", "<a b=c></a>", "<a b='c></a>",
        "<a>&</a>",
        "<a>&unknown;</a>", "<a>&#xD800;</a>", "<a>&#x110000;</a>", "<a>&#;</a>", "<a>&amp</a>", "<a><!-- </a>",
        "<a><![CDATA[ </a>",
        "<?xml", "text<a/>", "<>x</>",
        "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
    ])
    func brokenOrHostileDocumentIsAnError(_ text: String) {
        #expect(throws: XMLError.self) { try read(text) }
    }

    @Test func deepNestingIsAnError() {
        #expect(throws: XMLError.self) { try read(String(repeating: "<a>", count: 1_000_000)) }
    }

    @Test func manyElementsAreAnError() {
        #expect(throws: XMLError.self) { try read("<a>" + String(repeating: "<b/>", count: 100_000) + "</a>") }
    }

    @Test func everyTruncationOfAGoodDocumentIsAnError() throws {
        let good = Array("<a x='1'><b>&amp;t</b><!-- c --><![CDATA[d]]><e/></a>".utf8)
        _ = try XMLReader.read(good)
        for length in 0..<good.count { #expect(throws: XMLError.self) { try XMLReader.read(good[..<length]) } }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func noiseNeverCrashes(seed: UInt64) {
        let random = SeededSource(seed: seed)
        let alphabet = Array("<>/!?-[]CDATA&;#x'\"= ab\n".utf8) + [0, 0xFF, 0xC3]
        for _ in 0..<200 {
            let noise = (0..<random.next(below: 60)).map { _ in alphabet[Int(random.next(below: UInt64(alphabet.count)))] }
            _ = try? XMLReader.read(noise)
        }
    }

    @Test func escapedTextReadsBack() throws {
        let text = "<a & 'b' \"c\">\r\n]]> é"
        #expect(try read("<k>\(XMLElement.escape(text))</k>").text == text)
    }

    @Test func percentEncodingReadsBack() {
        let text = "a/b c+d%é~!'()*\n"
        #expect(PercentEncoding.encode(text) == "a%2Fb%20c%2Bd%25%C3%A9~%21%27%28%29%2A%0A")
        #expect(PercentEncoding.encode(text, keepsSlashes: true).hasPrefix("a/b%20"))
        #expect(PercentEncoding.decode(PercentEncoding.encode(text)) == text)
        #expect(PercentEncoding.decode("a+b%2bc", plusIsSpace: true) == "a b+c")
        for broken in ["%", "%2", "%zz", "%FF"] { #expect(PercentEncoding.decode(broken) == nil) }
    }
}
