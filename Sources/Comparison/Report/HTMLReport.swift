//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation
internal import Metering

/// One self-contained page: no network, no script needed, the result's JSON inside for whoever wants the numbers.
package struct HTMLReport: Sendable {
    let result: CompareResult
    private let json: String

    package init(_ result: CompareResult) {
        self.result = result
        json = (try? String(decoding: result.encoded(), as: UTF8.self)) ?? "null"
    }

    package var html: String {
        let style = String(decoding: PackageResources.report_css, as: UTF8.self)
        let headline = TerminalTable(result).headline.split(separator: "\n").map { escape(String($0)) }
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Ninefold: where should a log keep its bytes?</title>
            <style>\(style)</style>
            </head>
            <body>
            <header>
            <p class="eyebrow">ninefold compare</p>
            <h1>Where should a log keep its bytes?</h1>
            <p class="headline"><strong>\(headline.first ?? "")</strong> \(headline.dropFirst().joined(separator: " "))</p>
            <p class="sub">One load through \(count(result.modes.count, "storage mode")) of the same broker, on one machine;
            \(escape(result.startedAt)), took \(Format.seconds(result.seconds)).</p>
            \(cards)
            \(marks)
            </header>
            <main>
            \(sections.joined(separator: "\n"))
            <section id="figures"><h2>All figures</h2><div class="scroll">\(figuresTable)</div>\(notMeasuredList)</section>
            <section id="run"><h2>How it was run</h2><div class="scroll">\(environmentTable)</div></section>
            <section id="words"><h2>The words</h2>\(words)</section>
            </main>
            <footer><p>Made by ninefold \(escape(result.environment.ninefold)). The numbers as JSON are in this file, in the element
            <code>comparison</code>, and in <code>comparison.json</code> beside it.</p></footer>
            <script type="application/json" id="comparison">\(json.replacingOccurrences(of: "</", with: "<\\/"))</script>
            </body>
            </html>

            """
    }

    private var sections: [String] {
        let withObjects = TerminalTable(result).withObjects
        var sections = [
            section(
                "Copies of every byte", withObjects,
                Charts.figure(result, caption: "At the end of a bar: copies of record data + overhead.") { $0.copiesByMedium() },
                copiesText),
            section(
                "Space is not traffic", withObjects, Charts.figure(result, caption: "") { $0.spaceWritesNetwork() },
                """
                What lies on media, what was written to media on the way there, and what crossed wires (what the volume sends to its own
                copies included), each per logical byte. A mode that saves space may still write the same byte several times.
                """),
            section(
                "Moving a partition", .measured,
                Charts.figure(
                    result, caption: "From the accepted request to the new leader's first produce. Both axes are logarithmic."
                ) { $0.reassignment() },
                """
                Points are measured, with a producer writing to the partition all the while. Lines are computed: seconds = a + b · GiB,
                least squares. A mode that copies grows with size; one that hands over metadata does not.
                """, extra: reassignmentTable),
            section(
                "Response time", .measured,
                Charts.figure(result, caption: "Time from the intended send to the acknowledgement. Both axes are logarithmic.") {
                    $0.responseTimes()
                },
                """
                From the moment a record was due to be sent to its acknowledgement, so a stalled sender is not hidden.
                acks=\(result.workload.acks), \(Format.number(result.workload.recordsPerSecond)) records of
                \(result.workload.recordBytes) bytes a second. \(escape(result.environment.remark))
                """),
            section(
                "A broker dies", .measured, Charts.figure(result, caption: "") { $0.failover() },
                """
                SIGKILL to a broker that leads, then the time until a producer's next acknowledgement from its successor.
                Detection is the broker session timeout (\(Format.tidy(Format.seconds(result.settings.sessionTimeoutSeconds)))): a setting, alike in
                all modes. Every acknowledged record was read back and compared.
                """, extra: failoverTable),
        ]
        for sheet in sheets {
            let chart = Charts.figure(result, caption: "") { $0.cost(sheet: sheet) }
            sections.append(section("Cost of a month: \(sheet)", .computed, chart, costText(sheet), extra: costTable(sheet)))
        }
        return sections
    }

    /// Names of the price sheets, as the modes have them.
    var sheets: [String] {
        var names: [String] = []
        for cost in result.modes.flatMap(\.cost) where !names.contains(cost.prices) { names.append(cost.prices) }
        return names
    }

    private var marks: String {
        let entries = Provenance.allCases.map { "<li>\(mark($0)) \($0.meaning)</li>" }
        return "<ul class=\"marks\" aria-label=\"How each figure came about\">\(entries.joined())</ul>"
    }

    func mark(_ provenance: Provenance) -> String {
        "<abbr class=\"mark\" title=\"\(provenance.meaning)\">\(provenance.rawValue)</abbr>"
    }

    /// `1 mode`, `3 modes`.
    func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    private var copiesText: String {
        let object =
            result.objectStore.basis == "measured"
            ? "the object store's \(Format.tidy(Format.ratio(result.objectStore.copies))) copies are counted too"
            : "an endpoint's objects are counted as listed, times the \(Format.tidy(Format.ratio(result.objectStore.copies))) copies that its URL declares"
        let reserves = result.modes.compactMap { mode -> String? in
            guard let bytes = mode.storage?.reservedBytes, bytes > 0 else { return nil }
            return "\(Format.bytes(bytes)) in \(mode.mode)"
        }
        let reserve =
            reserves.isEmpty
            ? ""
            : "Not drawn: space reserved for write-ahead logs, which does not grow with the data (\(reserves.joined(separator: ", ")))."
        return """
            Record data on media per byte acknowledged to producers, and beside it all that is not record data. Counted (blocks of every
            file, each copy) after offloading, compaction and deletion had settled; \(object). \(volumeText) \(reserve)
            """
    }

    private var volumeText: String {
        let copies = Format.tidy(Format.ratio(result.volume.copies))
        if result.volume.basis != "measured" {
            return "How many copies the volume's mount keeps was not measured: its bytes are counted once."
        }
        let place = result.volume.backing.isEmpty ? "" : ", counted in its \(result.volume.backing.count) backing directories"
        return result.workload.replicationFactor == 3 && result.volume.copies == 3
            ? "The volume keeps 3 copies of what a broker writes\(place), so three replicas on it are nine."
            : "The volume keeps \(copies) of what a broker writes\(place)."
    }

    private func section(_ title: String, _ provenance: Provenance, _ chart: String?, _ text: String, extra: String = "") -> String
    {
        let picture = chart ?? "<p class=\"missing\">Not measured in this run.</p>"
        return """
            <section><h2>\(escape(title)) \(mark(provenance))</h2>
            <p>\(text)</p>\(picture)\(extra)</section>
            """
    }
}

extension CompareResult {
    /// `comparison.json`: keys sorted, so that two runs can be compared as text.
    package func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }
}
