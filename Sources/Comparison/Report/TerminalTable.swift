//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Metering

/// The comparison as text, for a terminal of 100 columns.
package struct TerminalTable: Sendable {
    private let result: CompareResult

    package init(_ result: CompareResult) { self.result = result }

    enum Row {
        case heading(String)
        case values(String, Provenance, [String])
    }

    package var text: String {
        var lines = [headline, ""]
        let rows = reportRows
        let labelWidth = 34
        let columnWidth = max(13, (result.modes.map(\.mode.count).max() ?? 0) + 2)
        lines.append(pad("", labelWidth) + result.modes.map { padLeft($0.mode, columnWidth) }.joined())
        for row in rows {
            switch row {
            case .heading(let title):
                lines.append("")
                lines.append(title)
            case .values(let label, let provenance, let values):
                lines.append(
                    pad("  " + label, labelWidth) + values.map { padLeft($0, columnWidth) }.joined() + "  " + provenance.rawValue)
            }
        }
        lines.append("")
        lines.append(Provenance.legend)
        let missing = notMeasured
        if !missing.isEmpty {
            lines.append("Not measured:")
            lines += missing.map { "  " + $0 }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Nine against three, in one sentence.
    package var headline: String {
        let stored = result.modes.compactMap { mode in mode.storage.map { (mode.mode, $0.copies) } }
        guard let most = stored.max(by: { $0.1 < $1.1 }), let least = stored.min(by: { $0.1 < $1.1 }) else {
            return "Copies of each byte: not measured."
        }
        if stored.count == 1 { return "Copies of each byte on media: \(Format.ratio(most.1)) in \(most.0)." }
        guard most.1 - least.1 >= 0.005 else {
            return "Copies of each byte on media: \(Format.ratio(most.1)) in each of \(stored.map(\.0).joined(separator: ", "))."
        }
        let others = stored.filter { $0.0 != most.0 && $0.0 != least.0 }.map { "\($0.0) \(Format.ratio($0.1))" }
        let between = others.isEmpty ? "" : " (" + others.joined(separator: ", ") + ")"
        let redundant = Int(((1 - least.1 / most.1) * 100).rounded())
        return
            "Every byte lies on media \(Format.ratio(most.1)) times in \(most.0), \(Format.ratio(least.1)) times in \(least.0)\(between):"
            + "\n\(redundant) % of what \(most.0) stores, \(least.0) does without."
    }

    /// A figure that rests on copies which were declared and not counted is not measured.
    var withObjects: Provenance { result.objectStore.basis == "declared" && usesObjects ? .computed : .measured }
    private var usesObjects: Bool { result.modes.contains { $0.storage?.byMedium.contains { $0.medium == "object" } ?? false } }
    /// What a mount writes and sends below is worked out from the copies found there.
    var belowVolume: Provenance { result.volume.backing.isEmpty ? .measured : .computed }

    var reportRows: [Row] {
        var rows: [Row] = [.heading("Space, per logical byte")]
        rows.append(line("copies of record data", withObjects) { $0.storage.map { Format.ratio($0.copies) } })
        for medium in ["hotLog", "wal", "object", "garbage"] {
            rows.append(
                line("  " + Self.name(ofMedium: medium), ["object", "garbage"].contains(medium) ? withObjects : .measured) { mode in
                    mode.storage.flatMap { storage in
                        storage.byMedium.first { $0.medium == medium }.map { Format.ratio($0.recordBytes / storage.logicalBytes) }
                            ?? "0.00"
                    }
                })
        }
        rows.append(
            line("overhead (indexes, metadata, …)", .measured) { mode in
                mode.storage.map { Format.ratio($0.overhead - $0.reservedBytes / $0.logicalBytes) }
            })
        if !result.volume.backing.isEmpty {
            rows.append(
                line("  of it the mount's own", .measured) { mode in
                    mode.storage.map { storage in
                        Format.ratio(
                            storage.byMedium.filter { $0.medium == "volumeOwn" }.reduce(0) { $0 + $1.physicalBytes }
                                / storage.logicalBytes)
                    }
                })
        }
        rows.append(line("reserved for the WAL, fixed", .measured) { $0.storage.map { Format.bytes($0.reservedBytes) } })
        rows.append(line("physical bytes", withObjects) { $0.storage.map { Format.bytes($0.physicalBytes) } })
        rows.append(.heading("Traffic, per logical byte"))
        rows.append(
            line("written to media", withObjects == .measured ? belowVolume : withObjects) {
                $0.storage.map { Format.ratio($0.writeAmplification) }
            })
        for kind in NetworkClass.allCases where kind != .control {
            rows.append(
                line(Self.name(of: kind), kind == .volumeCopies ? belowVolume : .measured) { mode in
                    guard let logical = mode.storage?.logicalBytes, let bytes = mode.network?[kind.rawValue] ?? nil else {
                        return nil
                    }
                    return Format.ratio(bytes / logical)
                })
        }
        rows.append(
            line("object-store requests", .measured) { mode in
                mode.requests.map { Format.tidy(Format.number($0.values.reduce(0, +))) }
            })
        for (kind, label) in [("put", "  of them puts"), ("get", "  of them gets")] {
            rows.append(line(label, .measured) { $0.requests.map { Format.tidy(Format.number($0[kind] ?? 0)) } })
        }
        if result.modes.contains(where: { $0.steady != nil }) {
            rows.append(.heading("Steady load (response from the intended send)"))
            rows.append(line("records per second", .measured) { $0.steady.map { Format.number($0.records / $0.seconds) } })
            rows.append(line("response p50", .measured) { $0.steady.map { Format.seconds($0.responseSeconds.p50) } })
            rows.append(line("response p99", .measured) { $0.steady.map { Format.seconds($0.responseSeconds.p99) } })
            rows.append(line("response p99.9", .measured) { $0.steady.map { Format.seconds($0.responseSeconds.p999) } })
            rows.append(line("end to end p99", .measured) { $0.steady?.endToEndSeconds.map { Format.seconds($0.p99) } })
            rows.append(
                line("broker CPU s per GB produced", .measured) { mode in
                    guard let steady = mode.steady, let cpu = steady.brokerCPUSeconds else { return nil }
                    return Format.number(cpu / (steady.bytes / 1e9))
                })
        }
        if result.modes.contains(where: { $0.reassignment != nil }) {
            rows.append(.heading("Moving a partition under load"))
            rows.append(
                line("seconds = a + b·GiB: a", .computed) { $0.reassignment?.fit.map { Format.seconds(max($0.fixedSeconds, 0)) } })
            rows.append(
                line("seconds = a + b·GiB: b", .computed) { mode in
                    mode.reassignment?.fit.map { fit in
                        let zero = fit.secondsPerGiBError.map { abs(fit.secondsPerGiB) <= 2 * $0 } ?? false
                        return zero ? "0 (±\(Format.number(2 * fit.secondsPerGiBError!)))" : Format.number(fit.secondsPerGiB)
                    }
                })
            rows.append(
                line("largest partition moved in", .measured) { mode in
                    mode.reassignment?.runs.max { $0.logicalBytes < $1.logicalBytes }.map { Format.seconds($0.seconds) }
                })
            rows.append(
                line("bytes moved ÷ its size", .measured) { mode in
                    mode.reassignment?.runs.max { $0.logicalBytes < $1.logicalBytes }.map {
                        Format.ratio($0.bytesMoved / $0.logicalBytes)
                    }
                })
            rows.append(
                line("longest client gap", .measured) { mode in
                    mode.reassignment?.runs.compactMap(\.clientGapSeconds).max().map(Format.seconds)
                })
        }
        if result.modes.contains(where: { $0.failover != nil }) {
            rows.append(.heading("A broker killed without warning"))
            rows.append(line("until the first ack elsewhere", .measured) { $0.failover?.seconds.map(Format.seconds) })
            rows.append(line("records acknowledged", .measured) { $0.failover.map { Format.number($0.acknowledged) } })
            rows.append(line("of these lost", .measured) { $0.failover.map { Format.number($0.lost) } })
            rows.append(line("duplicated", .measured) { $0.failover.map { Format.number($0.duplicated) } })
        }
        let sheets = result.modes.first?.cost.map(\.prices) ?? []
        if !sheets.isEmpty {
            rows.append(.heading("Cost a month of this load"))
            for sheet in sheets {
                rows.append(
                    line(sheet, .computed) { mode in
                        mode.cost.first { $0.prices == sheet }.map { Format.money($0.perMonth, $0.currency) }
                    })
            }
        }
        return rows
    }

    var notMeasured: [String] {
        result.modes.flatMap { mode in
            (mode.notMeasured.map { ($0.key, $0.value) }
                + (mode.failover?.notMeasured ?? [:]).map { ("failover." + $0.key, $0.value) })
                .sorted { $0.0 < $1.0 }.map { "\(mode.mode) \($0.0): \($0.1)" }
        }
    }

    private func line(_ label: String, _ provenance: Provenance, _ value: (ModeResult) -> String?) -> Row {
        .values(label, provenance, result.modes.map { value($0) ?? "not measured" })
    }

    package static func name(ofMedium medium: String) -> String {
        switch medium {
        case "hotLog": "hot log"
        case "wal": "live WAL"
        case "object": "object store"
        case "garbage": "garbage awaiting deletion"
        case "index": "indexes"
        case "metadata": "metadata"
        case "volumeOwn": "the mount's own"
        case "reserved": "reserved WAL space"
        default: medium
        }
    }

    package static func name(of networkClass: NetworkClass) -> String {
        switch networkClass {
        case .produce: "network: produce"
        case .consume: "network: consume"
        case .replication: "network: replication"
        case .volumeCopies: "network: volume copies"
        case .objectPut: "network: object put"
        case .objectGet: "network: object get"
        case .control: "network: control"
        }
    }

    private func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
    private func padLeft(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
