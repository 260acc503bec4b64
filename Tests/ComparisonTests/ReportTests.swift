//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Foundation
import Testing

@Suite struct ReportTests {
    @Test func tableBeginsWithNineAgainstThree() throws {
        let lines = TerminalTable(try SampleResult.make()).text.split(separator: "\n").map(String.init)
        #expect(lines[0] == "Every byte lies on media 9.00 times in isr, 3.03 times in shared (tiered 4.80):")
        #expect(lines[1] == "66 % of what isr stores, shared does without.")
    }

    @Test func tableFitsAHundredColumns() throws {
        for line in TerminalTable(try SampleResult.make()).text.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
    }

    @Test func whatWasNotMeasuredIsSaidAndNeverZero() throws {
        var result = try SampleResult.make()
        result.modes[1].steady = nil
        result.modes[1].notMeasured["steady"] = "the load generator died"
        let text = TerminalTable(result).text
        #expect(text.contains("not measured"))
        #expect(text.contains("tiered steady: the load generator died"))
        let json = String(decoding: try result.encoded(), as: UTF8.self)
        #expect(json.contains("\"steady\" : null"))
    }

    @Test func resultReadsBackAsWritten() throws {
        let result = try SampleResult.make()
        #expect(try JSONDecoder().decode(CompareResult.self, from: result.encoded()) == result)
    }

    @Test func pageIsSelfContainedAndEscapesWhatItIsTold() throws {
        let html = HTMLReport(try SampleResult.make()).html
        #expect(!html.contains("src=\"http"))
        #expect(!html.contains("href=\"http"))
        #expect(html.contains("cpu &lt;1&gt;"))
        for chart in [
            "Copies of every byte", "Space is not traffic", "Moving a partition", "Response time", "A broker dies",
            "Cost of a month",
        ] {
            #expect(html.contains(chart))
        }
        #expect(html.components(separatedBy: "<svg").count - 1 == 7)
        if let path = ProcessInfo.processInfo.environment["NINEFOLD_SAMPLE_REPORT"] {
            try html.write(toFile: path, atomically: true, encoding: .utf8)
        }
    }

    @Test func fitFindsTheLineAndItsError() throws {
        let exact = try #require(LineFit([(0, 1), (1, 3), (2, 5)]))
        #expect(abs(exact.slope - 2) < 1e-12 && abs(exact.intercept - 1) < 1e-12)
        #expect(exact.slopeError! < 1e-9)
        let flat = try #require(LineFit([(0, 1.01), (1, 0.99), (2, 1.02), (3, 0.98)]))
        #expect(flat.slopeIsZeroWithinItsError == true)
        #expect(LineFit([(1, 1)]) == nil)
        #expect(LineFit([(1, 1), (1, 2)]) == nil)
    }
}
