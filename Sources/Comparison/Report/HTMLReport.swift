//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation
internal import Metering

/// One self-contained page: no network, no script needed, the result's JSON inside for whoever wants the numbers.
package struct HTMLReport: Sendable {
    private let result: CompareResult
    private let json: String

    package init(_ result: CompareResult) {
        self.result = result
        json = (try? String(decoding: result.encoded(), as: UTF8.self)) ?? "null"
    }

    package var html: String {
        let charts = Charts(result: result)
        let style = String(decoding: PackageResources.report_css, as: UTF8.self)
        let headline = TerminalTable(result).headline.replacingOccurrences(of: "\n", with: " ")
        var sections: [String] = []
        sections.append(
            section(
                "Copies of every byte", .measured, charts.copiesByMedium(),
                """
                Physical bytes on media per byte of record batches acknowledged to producers, by what they are for. Counted in the
                data directories after offloading, compaction and deletion had settled; the object store's copies are
                \(result.objectStore.basis). The volume keeps \(result.volume.copies) copies of what a broker writes, so three
                replicas on it are nine. \(reserveNote)
                """))
        sections.append(
            section(
                "Space is not traffic", .measured, charts.spaceWritesNetwork(),
                """
                What lies on media, what was written to media on the way there, and what crossed wires (the volume's own copies
                included), each per logical byte. A mode that saves space may still write the same byte several times.
                """))
        sections.append(
            section(
                "Moving a partition", .measured, charts.reassignment(),
                """
                Points: measured, with a producer writing to the partition all the while. Lines: seconds = a + b·GiB, least squares
                (computed). A mode that copies grows with size; one that hands over metadata does not.
                """, extra: reassignmentTable))
        sections.append(
            section(
                "Response time", .measured, charts.responseTimes(),
                """
                From the moment a record was due to be sent to its acknowledgement, so a stalled sender is not hidden. acks=\(result.workload.acks),
                \(Format.number(result.workload.recordsPerSecond)) records of \(result.workload.recordBytes) bytes a second.
                """))
        sections.append(
            section(
                "A broker dies", .measured, charts.failover(),
                """
                SIGKILL to a broker that leads, then the time until a producer's next acknowledgement from its successor.
                Detection is the broker session timeout (\(Format.seconds(result.settings.sessionTimeoutSeconds))). Every acknowledged
                record was read back and compared.
                """, extra: failoverTable))
        for sheet in result.modes.first?.cost.map(\.prices) ?? [] {
            sections.append(
                section("Cost of a month: \(sheet)", .computed, charts.cost(sheet: sheet), costText, extra: costTable(sheet)))
        }
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
            <h1>Where should a log keep its bytes?</h1>
            <p class="headline">\(escape(headline))</p>
            <p class="sub">One run, one machine, one load, \(result.modes.count) storage modes behind the same broker. \(escape(result.startedAt))</p>
            </header>
            <main>
            <section><h2>All figures</h2><div class="scroll">\(figuresTable)</div><p class="note">\(Provenance.legend)</p>\(notMeasuredList)</section>
            \(sections.joined(separator: "\n"))
            <section><h2>How it was run</h2><div class="scroll">\(environmentTable)</div></section>
            <section><h2>The words</h2>\(words)</section>
            </main>
            <footer><p>Made by ninefold \(escape(result.environment.ninefold)). The numbers as JSON are in this file, in the element
            <code>comparison</code>, and in <code>comparison.json</code> beside it.</p></footer>
            <script type="application/json" id="comparison">\(json.replacingOccurrences(of: "</", with: "<\\/"))</script>
            </body>
            </html>

            """
    }

    private var reserveNote: String {
        let reserves = result.modes.compactMap { mode -> String? in
            guard let bytes = mode.storage?.reservedBytes, bytes > 0 else { return nil }
            return "\(Format.bytes(bytes)) in \(mode.mode)"
        }
        return reserves.isEmpty
            ? ""
            : "Not drawn: space reserved for write-ahead logs, which does not grow with the data (\(reserves.joined(separator: ", ")))."
    }

    private func section(_ title: String, _ provenance: Provenance, _ chart: String?, _ text: String, extra: String = "") -> String
    {
        let picture = chart.map { "<figure>\($0)</figure>" } ?? "<p class=\"missing\">Not measured in this run.</p>"
        return """
            <section><h2>\(escape(title)) <span class="mark" title="\(Provenance.legend)">\(provenance.rawValue)</span></h2>
            <p>\(text)</p>\(picture)\(extra)</section>
            """
    }

    private func table(_ header: [String], _ rows: [[String]]) -> String {
        let head = header.map { "<th>\(escape($0))</th>" }.joined()
        let body = rows.map { "<tr>" + $0.map { "<td>\(escape($0))</td>" }.joined() + "</tr>" }.joined(separator: "\n")
        return "<table><thead><tr>\(head)</tr></thead><tbody>\(body)</tbody></table>"
    }

    private var figuresTable: String {
        var rows: [String] = []
        for row in TerminalTable(result).reportRows {
            switch row {
            case .heading(let title):
                rows.append("<tr class=\"group\"><th colspan=\"\(result.modes.count + 2)\">\(escape(title))</th></tr>")
            case .values(let label, let provenance, let values):
                let cells = values.map { "<td\($0 == "not measured" ? " class=\"missing\"" : "")>\(escape($0))</td>" }.joined()
                let indent = label.hasPrefix("  ") ? " class=\"indent\"" : ""
                rows.append(
                    "<tr><td\(indent)>\(escape(label.trimmingCharacters(in: .whitespaces)))</td>\(cells)<td class=\"mark\">\(provenance.rawValue)</td></tr>"
                )
            }
        }
        let head = "<th></th>" + result.modes.map { "<th>\(escape($0.mode))</th>" }.joined() + "<th></th>"
        return "<table class=\"figures\"><thead><tr>\(head)</tr></thead><tbody>\(rows.joined(separator: "\n"))</tbody></table>"
    }

    private var notMeasuredList: String {
        let items = result.modes.flatMap { mode in
            mode.notMeasured.sorted { $0.key < $1.key }.map {
                "<li>\(escape(mode.mode)) \(escape($0.key)): \(escape($0.value))</li>"
            }
        }
        return items.isEmpty ? "" : "<p class=\"note\">Not measured:</p><ul class=\"note\">\(items.joined())</ul>"
    }

    private var reassignmentTable: String {
        var rows: [[String]] = []
        for mode in result.modes {
            for run in mode.reassignment?.runs ?? [] {
                rows.append([
                    mode.mode, Format.bytes(run.logicalBytes), Format.seconds(run.seconds), Format.bytes(run.bytesMoved),
                    run.clientGapSeconds.map(Format.seconds) ?? "not measured",
                    run.phases.map { "\($0.name) \(Format.seconds($0.seconds))" }.joined(separator: ", "),
                ])
            }
        }
        guard !rows.isEmpty else { return "" }
        var text =
            "<div class=\"scroll\">" + table(["mode", "size", "time", "bytes moved", "client gap", "phases"], rows) + "</div>"
        var throttled: [[String]] = []
        for mode in result.modes {
            for run in mode.reassignment?.throttled ?? [] {
                throttled.append([
                    mode.mode, Format.bytes(run.throttleBytesPerSecond) + "/s", Format.bytes(run.logicalBytes),
                    Format.bytes(run.bytesMoved),
                    run.seconds.map(Format.seconds) ?? "never: the throttle is at or below the ingest",
                ])
            }
        }
        if !throttled.isEmpty {
            text +=
                "<h3>The same at a replication throttle <span class=\"mark\">C</span></h3><div class=\"scroll\">"
                + table(["mode", "throttle", "size", "bytes to move", "time"], throttled) + "</div>"
        }
        return text
    }

    private var failoverTable: String {
        let rows = result.modes.compactMap { mode -> [String]? in
            guard let failover = mode.failover else { return nil }
            return [
                mode.mode, failover.seconds.map(Format.seconds) ?? "not measured",
                failover.phases.map { "\($0.name) \(Format.seconds($0.seconds))" }.joined(separator: ", "),
                Format.number(failover.acknowledged), Format.number(failover.lost), Format.number(failover.duplicated),
                Format.number(failover.reordered),
            ]
        }
        guard !rows.isEmpty else { return "" }
        return "<div class=\"scroll\">"
            + table(["mode", "time", "phases", "acknowledged", "lost", "duplicated", "reordered"], rows) + "</div>"
    }

    private var costText: String {
        let load = result.workload.recordsPerSecond * Double(result.workload.recordBytes)
        return """
            Counts of this run, scaled to its load held for a month of 730 hours (\(Format.bytes(load)) a second, kept
            \(CostScaling.retentionHours) hours), times dated prices. Three zones: clients and leaders spread evenly, so two thirds of
            produced and consumed bytes cross a zone, and every replicated byte does. Requests are counted at this run's small segments and
            uploads: with larger ones a mode needs proportionally fewer.
            """
    }

    private func costTable(_ sheet: String) -> String {
        var rows: [[String]] = []
        for mode in result.modes {
            guard let cost = mode.cost.first(where: { $0.prices == sheet }) else { continue }
            for item in cost.items where item.quantity > 0 {
                let quantity =
                    item.role == .volumeStorage || item.role == .objectStorage || item.role == .crossZone
                    ? Format.bytes(item.quantity) : Format.number(item.quantity)
                rows.append([
                    mode.mode, Charts.name(of: item.role), quantity, Format.money(item.amount, cost.currency),
                    item.figures.joined(separator: ", "),
                ])
            }
            for role in cost.notPriced { rows.append([mode.mode, role, "", "no price in this sheet", ""]) }
        }
        var dates: [String] = []
        if let prices = try? PriceSheet.named(sheet) {
            let used = Set(result.modes.flatMap { $0.cost.filter { $0.prices == sheet }.flatMap { $0.items.flatMap(\.figures) } })
            dates = prices.figures.filter { used.contains($0.id) }.map {
                "<li><code>\(escape($0.id))</code> \($0.value.map { String($0) } ?? "no value") \(escape($0.unit)); \(escape($0.asOf)); \(escape($0.sourceKind)): \(escape($0.source))</li>"
            }
        }
        return "<div class=\"scroll\">" + table(["mode", "item", "quantity a month", "cost", "figures"], rows) + "</div>"
            + "<details><summary>Prices: dates and sources <span class=\"mark\">Q</span></summary><ul>\(dates.joined())</ul></details>"
    }

    private var environmentTable: String {
        let environment = result.environment
        let workload = result.workload
        var rows: [[String]] = [
            ["ninefold", environment.ninefold], ["command", environment.commandLine.joined(separator: " ")],
            ["machine", "\(environment.cpu), \(environment.cores) cores, \(Format.bytes(Double(environment.memoryBytes)))"],
            ["kernel", "\(environment.kernel), \(environment.operatingSystem)"],
            ["disk", "\(environment.disk), \(environment.fileSystem)"], ["data", environment.dataDirectory],
            [
                "load",
                "\(workload.name): \(Format.number(workload.recordsPerSecond)) records/s of \(workload.recordBytes) B, compressible to \(Format.ratio(workload.compressibleTo)), \(workload.partitions) partitions, RF \(workload.replicationFactor), min ISR \(workload.minInSyncReplicas), acks=\(workload.acks), \(workload.producers) producers, \(workload.consumers) consumers, seed \(workload.seed)",
            ],
            [
                "brokers",
                "\(result.settings.brokers) processes, session timeout \(Format.seconds(result.settings.sessionTimeoutSeconds))",
            ],
            ["volume", result.volume.spec],
            [
                "object store",
                "\(result.objectStore.url), \(Format.number(result.objectStore.copies)) copies (\(result.objectStore.basis))",
            ],
            ["scenarios", result.settings.scenarios.joined(separator: ", ") + (result.settings.quick ? " (quick)" : "")],
            ["took", Format.seconds(result.seconds)], ["remark", environment.remark],
        ]
        for (mode, properties) in result.settings.properties.sorted(by: { $0.key < $1.key }) {
            rows.append([
                "\(mode) settings", properties.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", "),
            ])
        }
        return table(["", ""], rows)
    }

    private var words: String {
        let entries = [
            ("logical bytes", "bytes of the record batches acknowledged to producers, as sent"),
            ("copies", "bytes of record data on media (hot log, live WAL, objects, garbage) per logical byte, every copy counted"),
            (
                "overhead",
                "physical bytes that are not record data, per logical byte: indexes, metadata, reserved WAL space, rounding to blocks"
            ),
            ("written to media", "bytes handed to media for writing per logical byte: write amplification"),
            ("response time", "from the intended send to the acknowledgement"),
            (
                "client gap",
                "longest time without an acknowledgement that a steady producer of the moving partition saw, less its normal interval"
            ),
            ("failover time", "from the death of the leader to the first acknowledged produce at its successor"),
        ]
        return "<dl>" + entries.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" }.joined() + "</dl>"
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
