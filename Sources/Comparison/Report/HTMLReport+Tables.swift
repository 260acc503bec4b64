//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering

/// The tables of the page, each below its picture.
extension HTMLReport {
    /// - Parameter text: Columns whose cells may be broken over lines, and are set left.
    func table(_ header: [String], _ rows: [[String]], text: Set<Int> = [], class name: String = "") -> String {
        func cell(_ tag: String, _ index: Int, _ content: String) -> String {
            let isMissing = content == "not measured" ? " missing" : ""
            return "<\(tag) class=\"\(text.contains(index) ? "text" : "number")\(isMissing)\">\(escape(content))</\(tag)>"
        }
        let head = header.enumerated().map { cell("th", $0.offset, $0.element) }.joined()
        let body = rows.map { row in "<tr>" + row.enumerated().map { cell("td", $0.offset, $0.element) }.joined() + "</tr>" }
        return
            "<div class=\"scroll\"><table class=\"\(name)\"><thead><tr>\(head)</tr></thead><tbody>\(body.joined(separator: "\n"))</tbody></table></div>"
    }

    var figuresTable: String {
        var rows: [String] = []
        for row in TerminalTable(result).reportRows {
            switch row {
            case .heading(let title):
                rows.append("<tr class=\"group\"><th colspan=\"\(result.modes.count + 2)\">\(escape(title))</th></tr>")
            case .values(let label, let provenance, let values):
                let cells = values.map { "<td class=\"number\($0 == "not measured" ? " missing" : "")\">\(escape($0))</td>" }
                    .joined()
                let indent = label.hasPrefix("  ") ? "text indent" : "text"
                rows.append(
                    "<tr><td class=\"\(indent)\">\(escape(label.trimmingPrefix("  ").description))</td>\(cells)<td>\(mark(provenance))</td></tr>"
                )
            }
        }
        let head = "<th></th>" + result.modes.map { "<th class=\"number\">\(escape($0.mode))</th>" }.joined() + "<th></th>"
        return "<table class=\"figures\"><thead><tr>\(head)</tr></thead><tbody>\(rows.joined(separator: "\n"))</tbody></table>"
    }

    var notMeasuredList: String {
        let items = TerminalTable(result).notMeasured.map { "<li>\(escape($0))</li>" }
        return items.isEmpty
            ? "" : "<h3>Not measured, or not all of it</h3><ul class=\"note\" id=\"not-measured\">\(items.joined())</ul>"
    }

    var reassignmentTable: String {
        let runs = result.modes.flatMap { mode in (mode.reassignment?.runs ?? []).map { (mode.mode, $0) } }
        guard !runs.isEmpty else { return "" }
        var phases: [String] = []
        for (_, run) in runs { for phase in run.phases where !phases.contains(phase.name) { phases.append(phase.name) } }
        let rows = runs.map { mode, run in
            [
                mode, Format.bytes(run.logicalBytes), Format.seconds(run.seconds), Format.bytes(run.bytesMoved),
                run.clientGapSeconds.map(Format.seconds) ?? "not measured",
            ]
                + phases.map { name in
                    run.phases.first { $0.name == name }.map { Format.seconds($0.seconds) } ?? "not measured"
                }
        }
        let moves = table(["mode", "size", "time", "bytes moved", "client gap"] + phases, rows, text: [0])
        let throttled = result.modes.flatMap { mode in
            (mode.reassignment?.throttled ?? []).map { run in
                [
                    mode.mode, Format.bytes(run.logicalBytes), Format.bytes(run.bytesMoved),
                    run.seconds.map(Format.seconds) ?? "never: the throttle is at or below the ingest",
                ]
            }
        }
        let speed = result.modes.compactMap { $0.reassignment?.throttled.first?.throttleBytesPerSecond }.first
        let held =
            throttled.isEmpty
            ? ""
            : "<h3>The same at a replication throttle of \(Format.tidy(Format.bytes(speed ?? 0)))/s \(mark(.computed))</h3>"
                + table(["mode", "size", "bytes to move", "time"], throttled, text: [0])
        return "<details><summary>Every move, by phases \(mark(.measured))</summary>\(moves)\(held)</details>"
    }

    var failoverTable: String {
        let found = result.modes.compactMap { mode in mode.failover.map { (mode.mode, $0) } }
        guard !found.isEmpty else { return "" }
        var phases: [String] = []
        for (_, failover) in found { for phase in failover.phases where !phases.contains(phase.name) { phases.append(phase.name) } }
        let rows = found.map { mode, failover in
            [mode, failover.seconds.map(Format.seconds) ?? "not measured"]
                + phases.map { name in
                    failover.phases.first { $0.name == name }.map { Format.seconds($0.seconds) } ?? "not measured"
                }
                + [failover.acknowledged, failover.lost, failover.duplicated, failover.reordered].map(Format.number)
        }
        return table(["mode", "time"] + phases + ["acknowledged", "lost", "duplicated", "reordered"], rows, text: [0])
    }

    func costText(_ sheet: String) -> String {
        let load = result.workload.recordsPerSecond * Double(result.workload.recordBytes)
        let costs = result.modes.flatMap(\.cost).filter { $0.prices == sheet }
        var missing: [String] = []
        for role in costs.flatMap(\.notPriced) {
            let name = PriceSheet.Role(rawValue: role).map(Charts.name) ?? role
            if !missing.contains(name) { missing.append(name) }
        }
        let without =
            missing.isEmpty
            ? ""
            : "<strong>Not in the sums, for this sheet has no price for it: \(escape(missing.joined(separator: ", "))).</strong>"
        return """
            Counts of this run, scaled to its load held for a month of 730 hours (\(Format.bytes(load)) a second, kept
            \(CostScaling.retentionHours) hours), times dated prices. Three zones: clients and leaders spread evenly, so two thirds of
            produced and consumed bytes cross a zone, and every replicated byte does. Requests are counted at this run's small segments and
            uploads: with larger ones a mode needs proportionally fewer. \(without)
            """
    }

    func costTable(_ sheet: String) -> String {
        var rows: [[String]] = []
        for mode in result.modes {
            guard let cost = mode.cost.first(where: { $0.prices == sheet }) else { continue }
            for item in cost.items where item.quantity > 0 {
                rows.append([
                    mode.mode, Charts.name(of: item.role), Self.quantity(item), Format.money(item.amount, cost.currency),
                    item.figures.joined(separator: ", "),
                ])
            }
            for role in cost.notPriced {
                rows.append([mode.mode, PriceSheet.Role(rawValue: role).map(Charts.name) ?? role, "", "no price", ""])
            }
        }
        guard !rows.isEmpty else { return "" }
        let items =
            "<details><summary>Items: quantity × price \(mark(.computed))</summary>"
            + table(["mode", "item", "quantity a month", "cost", "prices used"], rows, text: [0, 1, 4]) + "</details>"
        return items + pricesTable(sheet)
    }

    private static func quantity(_ item: CostItem) -> String {
        switch item.role {
        case .volumeStorage, .objectStorage, .crossZone: Format.bytes(item.quantity)
        case .writeRequests, .readRequests: Format.number(item.quantity) + " requests"
        case .brokerHour: Format.tidy(Format.number(item.quantity)) + " h"
        }
    }

    /// Each price that was used, with its date and where it was found.
    private func pricesTable(_ name: String) -> String {
        guard let sheet = try? PriceSheet.named(name) else {
            return "<p class=\"note\">The price sheet \(escape(name)) is not at hand any more: its sources cannot be shown.</p>"
        }
        let used = Set(result.modes.flatMap { $0.cost.filter { $0.prices == name }.flatMap { $0.items.flatMap(\.figures) } })
        let rows = sheet.figures.filter { used.contains($0.id) }.map { figure in
            [
                figure.id, figure.value.map { "\($0)" } ?? "no value", figure.unit, figure.asOf,
                "\(figure.sourceKind): \(figure.source)",
            ]
        }
        return "<h3>Prices used, sheet of \(escape(sheet.retrieved)) \(mark(.quoted))</h3>"
            + table(["price", "value", "unit", "date", "source"], rows, text: [0, 2, 3, 4], class: "prices")
    }
}
