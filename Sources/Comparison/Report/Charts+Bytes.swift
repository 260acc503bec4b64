//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering

/// Pictures of bytes and of what they cost.
extension Charts {
    /// Media that hold record data, in the order they are drawn.
    static let recordMedia = ["hotLog", "wal", "object", "garbage"]

    /// Record data by medium, then all that is not record data: the first add up to the copies of the headline.
    func copiesByMedium() -> String? {
        let parts =
            Self.recordMedia.map { (TerminalTable.name(ofMedium: $0), "m-\($0)") } + [
                ("overhead (indexes, metadata, rounding)", "m-overhead")
            ]
        return stackedBars(
            title: "Bytes on media per logical byte, by mode and medium", axis: "bytes on media per logical byte", parts: parts,
            bars: result.modes.compactMap { mode in
                guard let storage = mode.storage else { return nil }
                let records = Self.recordMedia.map { medium in
                    storage.byMedium.filter { $0.medium == medium }.reduce(0) { $0 + $1.recordBytes } / storage.logicalBytes
                }
                // Reserved WAL space is of fixed size: per byte of a short run it would say nothing.
                let overhead = max(0, storage.overhead - storage.reservedBytes / storage.logicalBytes)
                return Bar(
                    mode: mode.mode, values: records + [overhead],
                    total: "\(Format.ratio(storage.copies)) + \(Format.ratio(overhead))")
            }, format: Format.ratio)
    }

    /// Space, writes and wires side by side: three bars per mode, on one scale.
    func spaceWritesNetwork() -> String? {
        let modes = result.modes.filter { $0.storage != nil }
        guard !modes.isEmpty else { return nil }
        let groups: [(name: String, class: String, value: (ModeResult) -> Double)] = [
            ("on media", "s-space", { ($0.storage!.physicalBytes - $0.storage!.reservedBytes) / $0.storage!.logicalBytes }),
            ("written to media", "s-write", { $0.storage!.writeAmplification }),
            ("over wires", "s-wire", { Self.bytesOverWires($0) / $0.storage!.logicalBytes }),
        ]
        let barHeight = 18.0, gap = 20.0
        let right = width - 58
        var svg = svg(height: 0, title: "Space, write traffic and network traffic per logical byte, by mode")
        let top = svg.legend(groups.map { ($0.name, $0.class) }, left: size == .wide ? left : 8, right: width - 8)
        let groupHeight = barHeight * 3 + gap
        let bottom = top + groupHeight * Double(modes.count)
        svg.height = bottom + 44
        let largest = modes.flatMap { mode in groups.map { $0.value(mode) } }.max() ?? 1
        let scale = Scale(domain: 0...max(largest, 1e-9), range: (left, right), isLogarithmic: false)
        horizontalAxis(
            &svg, scale, scale.ticks.map { ($0, Format.tidy(Format.number($0))) }, top: top, bottom: bottom,
            caption: "bytes per logical byte")
        for (row, mode) in modes.enumerated() {
            let y = top + Double(row) * groupHeight + gap / 2
            svg.text(mode.mode, x: left - 10, y: y + barHeight * 1.5 + 5, anchor: .end, class: "mode")
            for (index, group) in groups.enumerated() {
                let value = group.value(mode)
                let at = y + Double(index) * barHeight
                svg.rect(
                    x: left, y: at, width: scale(value) - left, height: barHeight - 2, class: group.class,
                    tooltip: "\(mode.mode): \(Format.ratio(value)) bytes \(group.name) per logical byte")
                svg.text(Format.ratio(value), x: scale(value) + 6, y: at + barHeight - 5, class: "value")
            }
        }
        return svg.markup
    }

    /// All classes that were seen.
    static func bytesOverWires(_ mode: ModeResult) -> Double { mode.network?.values.reduce(0) { $0 + ($1 ?? 0) } ?? 0 }

    /// Monthly cost by item, one stacked bar per mode.
    func cost(sheet: String) -> String? {
        let roles = PriceSheet.Role.allCases
        let currency = result.modes.flatMap(\.cost).first { $0.prices == sheet }?.currency ?? ""
        return stackedBars(
            title: "Monthly cost by mode and item, prices \(sheet)", axis: "\(currency) a month",
            parts: roles.map { (Self.name(of: $0), "k-\($0.rawValue)") },
            bars: result.modes.compactMap { mode in
                guard let cost = mode.cost.first(where: { $0.prices == sheet }) else { return nil }
                return Bar(
                    mode: mode.mode,
                    values: roles.map { role in cost.items.filter { $0.role == role }.reduce(0) { $0 + $1.amount } },
                    total: Format.money(cost.perMonth, cost.currency))
            }, format: { Format.money($0, currency) })
    }

    /// The copies of one byte as squares, a group of them for what the volume makes of each write.
    func copySquares(_ mode: ModeResult) -> String? {
        guard let storage = mode.storage, storage.copies > 0 else { return nil }
        let side = 20.0, step = 24.0, perRow = 9
        let rows = (Int(storage.copies.rounded(.up)) + perRow - 1) / perRow
        var svg = SVG(
            width: Double(perRow) * step, height: Double(max(rows, 1)) * step,
            title: "\(Format.ratio(storage.copies)) copies of every byte in \(mode.mode)", class: "squares")
        var drawn = 0.0
        for medium in Self.recordMedia {
            let copies = storage.byMedium.filter { $0.medium == medium }.reduce(0) { $0 + $1.recordBytes } / storage.logicalBytes
            let end = drawn + copies
            // Square by square, and of the first and the last only the part that belongs to this medium.
            while drawn < end - 1e-6 {
                let index = Int(drawn + 1e-9)
                let next = min(Double(index + 1), end)
                svg.rect(
                    x: Double(index % perRow) * step + (drawn - Double(index)) * side, y: Double(index / perRow) * step,
                    width: (next - drawn) * side, height: side, class: "m-\(medium)",
                    tooltip: "\(TerminalTable.name(ofMedium: medium)): \(Format.ratio(copies))")
                drawn = next
            }
        }
        return svg.markup
    }
}
