//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Foundation
import Metering
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
        // Seven charts, each for a page and for a telephone, and the copies as squares in three cards.
        #expect(html.components(separatedBy: "<svg").count - 1 == 7 * 2 + 3)
        if let path = ProcessInfo.processInfo.environment["NINEFOLD_SAMPLE_REPORT"] {
            try html.write(toFile: path, atomically: true, encoding: .utf8)
        }
    }

    /// The statement comes before every other figure, with the arithmetic behind it.
    @Test func pageBeginsWithNineAgainstThree() throws {
        let html = HTMLReport(try SampleResult.make()).html
        let statement = try #require(
            html.range(of: "Every byte lies on media 9.00 times in isr, 3.03 times in shared (tiered 4.80):"))
        let arithmetic = try #require(html.range(of: "3 replicas × 3 on the volume"))
        let figures = try #require(html.range(of: "All figures"))
        #expect(statement.lowerBound < arithmetic.lowerBound && arithmetic.lowerBound < figures.lowerBound)
    }

    @Test func everyPriceHasItsDateAndSource() throws {
        let result = try SampleResult.make()
        let html = HTMLReport(result).html
        for cost in result.modes.flatMap(\.cost) {
            let sheet = try PriceSheet.named(cost.prices)
            for figure in sheet.figures where cost.items.contains(where: { $0.figures.contains(figure.id) }) {
                #expect(html.contains(escaped(figure.source)) && html.contains(figure.asOf), "\(figure.id)")
            }
        }
    }

    @Test func whatRestsOnDeclaredCopiesIsComputed() throws {
        var result = try SampleResult.make()
        func mark(_ result: CompareResult) -> String? {
            TerminalTable(result).text.split(separator: "\n").first { $0.contains("copies of record data") }?.last.map(String.init)
        }
        #expect(mark(result) == "M")
        result.objectStore = ObjectStoreSummary(url: "s3://bucket?copies=3", copies: 3, basis: "declared")
        #expect(mark(result) == "C")
    }

    @Test func aMountWhoseCopiesWereNotSeenIsNotSaidToKeepOne() throws {
        var result = try SampleResult.make()
        result.volume = StoreSummary(spec: "/mnt/dfs", copies: 1, basis: "not measured", fileSystem: "fuse.glusterfs")
        for index in result.modes.indices { result.modes[index].network?["volumeCopies"] = .some(nil) }
        let text = TerminalTable(result).text
        let line = try #require(text.split(separator: "\n").first { $0.contains("volume copies") })
        #expect(line.components(separatedBy: "not measured").count == 4)
        #expect(HTMLReport(result).html.contains("was not measured"))
        let json = String(decoding: try result.encoded(), as: UTF8.self)
        #expect(json.contains("\"volumeCopies\" : null"))
        #expect(try JSONDecoder().decode(CompareResult.self, from: result.encoded()) == result)
    }

    private func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
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
