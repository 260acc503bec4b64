//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// The suite's results as text, for a terminal of 120 columns.
package struct SuiteTable: Sendable {
    private let results: [SuiteResult]

    package init(_ results: [SuiteResult]) { self.results = results }

    package var text: String {
        var lines = [Self.line("row", Self.heads)]
        var last = ""
        for result in results {
            if result.row != last {
                lines.append("")
                lines.append("\(result.row): \(result.title)")
                last = result.row
            }
            let isLoad = result.figures[Figure.throughput] != nil
            lines.append(isLoad ? Self.line("  " + result.mode, cells(result)) : "  \(result.mode)")
            lines += result.marks.filter { !isLoad || $0.mark.figure != Figure.brokerCPU }.map { "      " + Self.judgement($0) }
            let marked = Set(result.marks.map(\.mark.figure))
            lines += result.figures.spreads.keys.sorted()
                .filter { !marked.contains($0) && !(isLoad && Self.columns.contains($0)) }
                .compactMap { name in result.figures[name].map { "      \(name): \(Self.text($0))" } }
        }
        lines += ["", Self.legend, SuitePlan.settingsNote]
        let missing = results.flatMap { result in
            result.notMeasured.sorted { $0.key < $1.key }.map { "  \(result.row) \(result.mode), \($0.key): \($0.value)" }
        }
        if !missing.isEmpty { lines += ["Not measured:"] + missing }
        return lines.joined(separator: "\n") + "\n"
    }

    private static let heads = [
        "MB/s", "CPU s/GB (min..max)", "mark", "floor", "×floor", "load", "p50", "p99", "calls/MB", "allocs/req",
    ]
    /// Figures of a load that are columns, or so many that only the result file has them.
    private static let columns: Set<String> = [
        Figure.throughput, Figure.brokerCPU, Figure.loadCPU, Figure.floor, Figure.floorRatio, Figure.isrRatio, Figure.responseP50,
        Figure.responseP99, Figure.responseP999, Figure.readCalls, Figure.writeCalls, Figure.bytesWritten, Figure.voluntarySwitches,
        Figure.involuntarySwitches, Figure.resident, Figure.residentMax, Figure.allocations,
    ]
    private static let widths = [8, 20, 7, 7, 7, 7, 9, 9, 10, 11]
    private static let labelWidth = 12

    static let legend = """
        CPU: of all brokers, user and system, per 10^9 batch bytes. mark: what it is to be at most, ✓ reached, ✗ not. floor: receive +
        CRC + append on this machine, without a broker, beside the row. load: the generator's CPU s/GB. p50, p99: response. calls:
        of the read and the write kind. allocs: per produce request, counted in a pass of its own. –: not measured.
        """

    private func cells(_ result: SuiteResult) -> [String] {
        func median(_ figure: String, _ text: (Double) -> String) -> String { result.figures.median(figure).map(text) ?? "–" }
        var cpu = "–"
        if let spread = result.figures[Figure.brokerCPU], let median = spread.median {
            cpu = Format.ratio(median)
            if spread.values.count > 1, let min = spread.values.min(), let max = spread.values.max() {
                cpu += " (\(Format.ratio(min))..\(Format.ratio(max)))"
            }
        }
        let mark = result.marks.first { $0.mark.figure == Figure.brokerCPU }
        var calls = "–"
        if let reads = result.figures.median(Figure.readCalls), let writes = result.figures.median(Figure.writeCalls) {
            calls = Format.number(reads + writes)
        }
        return [
            median(Figure.throughput, Format.number), cpu,
            mark.map { Format.number($0.mark.atMost) + Self.sign($0.isReached) } ?? "–",
            median(Figure.floor, Format.ratio), median(Figure.floorRatio, Format.ratio), median(Figure.loadCPU, Format.ratio),
            median(Figure.responseP50, Format.seconds), median(Figure.responseP99, Format.seconds), calls,
            median(Figure.allocations, Format.number),
        ]
    }

    /// A mark that is no column.
    static func judgement(_ judged: SuiteResult.JudgedMark) -> String {
        func text(_ value: Double) -> String { Self.text(value, judged.mark.unit) }
        let measured = judged.measured.map(text) ?? "not measured"
        let basis = judged.mark.basis.map { " (\($0))" } ?? ""
        return "\(judged.mark.figure): \(measured), to be at most \(text(judged.mark.atMost))\(basis)\(sign(judged.isReached))"
    }

    static func text(_ value: Double, _ unit: String) -> String {
        switch unit {
        case "s": Format.seconds(value)
        case "B": Format.bytes(value)
        default: "\(Format.number(value)) \(unit)"
        }
    }

    /// The median, and the ends if there are several.
    static func text(_ spread: Spread) -> String {
        guard let median = spread.median, let min = spread.values.min(), let max = spread.values.max() else {
            return "not measured"
        }
        guard spread.values.count > 1 else { return text(median, spread.unit) }
        return "\(text(median, spread.unit)) (\(text(min, spread.unit))..\(text(max, spread.unit)))"
    }

    private static func sign(_ isReached: Bool?) -> String { isReached.map { $0 ? " ✓" : " ✗" } ?? "" }

    private static func line(_ label: String, _ cells: [String]) -> String {
        let padded = label + String(repeating: " ", count: max(0, labelWidth - label.count))
        return padded
            + zip(cells, widths).map { cell, width in String(repeating: " ", count: max(1, width - cell.count)) + cell }.joined()
    }
}
