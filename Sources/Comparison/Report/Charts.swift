//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Metering

/// The report's pictures, each drawn from the result alone.
struct Charts {
    let result: CompareResult

    /// One stacked bar per mode: the parts, their total at the end, a legend above.
    private func stackedBars(
        title: String, unit: String, parts: [(name: String, class: String)], values: (ModeResult) -> [Double]?
    ) -> String? {
        let bars = result.modes.compactMap { mode in values(mode).map { (mode.mode, $0) } }
        guard !bars.isEmpty else { return nil }
        let left = 90.0, right = 70.0, barHeight = 34.0, gap = 16.0, width = 760.0
        let used = parts.indices.filter { index in bars.contains { $0.1[index] > 0 } }
        let legendRows = Double((used.count + 3) / 4)
        let top = 12 + legendRows * 20
        let height = top + Double(bars.count) * (barHeight + gap) + 26
        let largest = bars.map { $0.1.reduce(0, +) }.max() ?? 1
        let scale = Scale(domain: 0...max(largest, 1e-9), range: (left, width - right), isLogarithmic: false)
        var svg = SVG(width: width, height: height, title: title)
        for (position, index) in used.enumerated() {
            let x = left + Double(position % 4) * 160, y = 14 + Double(position / 4) * 20
            svg.rect(x: x, y: y - 10, width: 12, height: 12, class: parts[index].class)
            svg.text(parts[index].name, x: x + 18, y: y)
        }
        for tick in scale.ticks {
            svg.line(x1: scale(tick), y1: top, x2: scale(tick), y2: height - 24, class: "grid")
            svg.text(Format.number(tick), x: scale(tick), y: height - 8, anchor: .middle, class: "tick")
        }
        for (row, (mode, values)) in bars.enumerated() {
            let y = top + Double(row) * (barHeight + gap) + gap / 2
            svg.text(mode, x: left - 12, y: y + barHeight / 2 + 5, anchor: .end, class: "mode")
            var sum = 0.0
            for index in used where values[index] > 0 {
                let x = scale(sum), end = scale(sum + values[index])
                svg.rect(
                    x: x, y: y, width: end - x, height: barHeight, class: parts[index].class,
                    tooltip: "\(mode): \(parts[index].name) \(Format.ratio(values[index]))\(unit)")
                if end - x > 44 {
                    svg.text(
                        Format.ratio(values[index]), x: (x + end) / 2, y: y + barHeight / 2 + 5, anchor: .middle, class: "inbar")
                }
                sum += values[index]
            }
            svg.text(Format.ratio(sum), x: scale(sum) + 8, y: y + barHeight / 2 + 5, class: "total")
        }
        return svg.markup
    }

    func copiesByMedium() -> String? {
        // Reserved WAL space is of fixed size: per byte of a short run it would say nothing.
        let media = ["hotLog", "wal", "object", "garbage", "index", "metadata"]
        return stackedBars(
            title: "Physical bytes per logical byte, by medium", unit: " bytes per logical byte",
            parts: media.map { (TerminalTable.name(ofMedium: $0), "m-\($0)") }
        ) { mode in
            guard let storage = mode.storage else { return nil }
            return media.map { medium in
                storage.byMedium.filter { $0.medium == medium }.reduce(0) { $0 + $1.physicalBytes } / storage.logicalBytes
            }
        }
    }

    /// Space, writes and wires side by side: three groups of bars per mode, on one scale.
    func spaceWritesNetwork() -> String? {
        let modes = result.modes.filter { $0.storage != nil }
        guard !modes.isEmpty else { return nil }
        let groups: [(String, String, (ModeResult) -> Double)] = [
            ("on media (space)", "s-space", { ($0.storage!.physicalBytes - $0.storage!.reservedBytes) / $0.storage!.logicalBytes }),
            ("written to media", "s-write", { $0.storage!.writeAmplification }),
            ("over wires", "s-wire", { ($0.network?.values.reduce(0) { $0 + ($1 ?? 0) } ?? 0) / $0.storage!.logicalBytes }),
        ]
        let left = 90.0, width = 760.0, barHeight = 18.0, gap = 22.0, top = 36.0
        let groupHeight = barHeight * 3 + gap
        let height = top + groupHeight * Double(modes.count) + 26
        let largest = modes.flatMap { mode in groups.map { $0.2(mode) } }.max() ?? 1
        let scale = Scale(domain: 0...max(largest, 1e-9), range: (left, width - 70), isLogarithmic: false)
        var svg = SVG(width: width, height: height, title: "Space, write traffic and network per logical byte")
        for (index, group) in groups.enumerated() {
            svg.rect(x: left + Double(index) * 180, y: 4, width: 12, height: 12, class: group.1)
            svg.text(group.0, x: left + Double(index) * 180 + 18, y: 14)
        }
        for tick in scale.ticks {
            svg.line(x1: scale(tick), y1: top - 6, x2: scale(tick), y2: height - 24, class: "grid")
            svg.text(Format.number(tick), x: scale(tick), y: height - 8, anchor: .middle, class: "tick")
        }
        for (row, mode) in modes.enumerated() {
            let y = top + Double(row) * groupHeight
            svg.text(mode.mode, x: left - 12, y: y + barHeight * 1.5 + 5, anchor: .end, class: "mode")
            for (index, group) in groups.enumerated() {
                let value = group.2(mode)
                let at = y + Double(index) * barHeight
                svg.rect(
                    x: left, y: at, width: scale(value) - left, height: barHeight - 2, class: group.1,
                    tooltip: "\(mode.mode): \(Format.ratio(value)) \(group.0)")
                svg.text(Format.ratio(value), x: scale(value) + 6, y: at + barHeight - 5, class: "tick")
            }
        }
        return svg.markup
    }

    /// Seconds against GiB, both axes logarithmic, points measured, lines fitted.
    func reassignment() -> String? {
        let series = result.modes.compactMap { mode in mode.reassignment.map { (mode.mode, $0) } }.filter { !$0.1.runs.isEmpty }
        let points = series.flatMap { $0.1.runs }
        let sizes = points.map(\.logicalBytes).filter { $0 > 0 }
        let times = points.map(\.seconds).filter { $0 > 0 }
        guard let smallest = sizes.min(), let largest = sizes.max(), let fastest = times.min(), let slowest = times.max() else {
            return nil
        }
        let width = 760.0, height = 380.0, left = 80.0, right = 110.0, top = 20.0, bottom = 50.0
        let x = Scale(domain: smallest / 1.5...largest * 1.5, range: (left, width - right), isLogarithmic: true)
        let y = Scale(domain: fastest / 2...slowest * 2, range: (height - bottom, top), isLogarithmic: true)
        var svg = SVG(width: width, height: height, title: "Seconds to move a partition against its size, log axes")
        for tick in y.ticks {
            svg.line(x1: left, y1: y(tick), x2: width - right, y2: y(tick), class: "grid")
            svg.text(Format.seconds(tick), x: left - 8, y: y(tick) + 4, anchor: .end, class: "tick")
        }
        for size in Set(sizes.map { ($0 / 1e6).rounded() * 1e6 }).sorted() {
            svg.line(x1: x(size), y1: top, x2: x(size), y2: height - bottom, class: "grid")
            svg.text(Format.bytes(size), x: x(size), y: height - bottom + 18, anchor: .middle, class: "tick")
        }
        svg.text("partition size (logical bytes)", x: (left + width - right) / 2, y: height - 10, anchor: .middle)
        for (mode, result) in series {
            if let fit = result.fit {
                let curve = (0...60).map { step -> (Double, Double) in
                    let size = smallest * pow(largest / smallest, Double(step) / 60)
                    let seconds = fit.fixedSeconds + fit.secondsPerGiB * size / 1_073_741_824
                    return (x(size), y(max(seconds, y.domain.lowerBound)))
                }
                svg.polyline(curve, class: "fit c-\(mode)")
            }
            for run in result.runs {
                svg.circle(
                    x: x(run.logicalBytes), y: y(run.seconds), radius: 5, class: "point c-\(mode)",
                    tooltip:
                        "\(mode): \(Format.bytes(run.logicalBytes)) in \(Format.seconds(run.seconds)), \(Format.bytes(run.bytesMoved)) moved"
                )
            }
            if let last = result.runs.max(by: { $0.logicalBytes < $1.logicalBytes }) {
                svg.text(mode, x: x(last.logicalBytes) + 12, y: y(last.seconds) + 5, class: "mode")
            }
        }
        return svg.markup
    }

    /// Response time over quantiles on the usual 1/(1-q) axis.
    func responseTimes() -> String? {
        let series = result.modes.compactMap { mode in
            mode.steady.map { (mode.mode, $0.responseCurve.filter { $0.count == 2 && $0[1] > 0 }) }
        }
        .filter { !$0.1.isEmpty }
        let all = series.flatMap { $0.1 }.map { $0[1] }
        guard let fastest = all.min(), let slowest = all.max() else { return nil }
        let width = 760.0, height = 340.0, left = 80.0, right = 90.0, top = 20.0, bottom = 50.0
        let x = Scale(domain: 1...10_000, range: (left, width - right), isLogarithmic: true)
        let y = Scale(domain: fastest / 1.3...slowest * 1.3, range: (height - bottom, top), isLogarithmic: true)
        var svg = SVG(width: width, height: height, title: "Response time from the intended send, by percentile")
        for tick in y.ticks {
            svg.line(x1: left, y1: y(tick), x2: width - right, y2: y(tick), class: "grid")
            svg.text(Format.seconds(tick), x: left - 8, y: y(tick) + 4, anchor: .end, class: "tick")
        }
        for (quantile, label) in [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
        {
            let at = x(1 / (1 - quantile))
            svg.line(x1: at, y1: top, x2: at, y2: height - bottom, class: "grid")
            svg.text(label, x: at, y: height - bottom + 18, anchor: .middle, class: "tick")
        }
        svg.text("share of requests answered within", x: (left + width - right) / 2, y: height - 10, anchor: .middle)
        for (index, (mode, curve)) in series.enumerated() {
            svg.polyline(curve.filter { $0[0] < 0.99995 }.map { (x(1 / (1 - $0[0])), y($0[1])) }, class: "curve c-\(mode)")
            svg.rect(x: width - right + 14, y: top + Double(index) * 22, width: 12, height: 12, class: "swatch c-\(mode)")
            svg.text(mode, x: width - right + 32, y: top + 11 + Double(index) * 22, class: "mode")
        }
        return svg.markup
    }

    /// Phases of a failover after one another, one bar per mode, on one time axis.
    func failover() -> String? {
        let series = result.modes.compactMap { mode in mode.failover.map { (mode.mode, $0) } }.filter { !$0.1.phases.isEmpty }
        guard let longest = series.map({ $0.1.phases.reduce(0) { $0 + $1.seconds } }).max(), longest > 0 else { return nil }
        let left = 90.0, width = 760.0, barHeight = 34.0, gap = 16.0
        var names: [String] = []
        for (_, result) in series { for phase in result.phases where !names.contains(phase.name) { names.append(phase.name) } }
        let top = 36.0
        let height = top + Double(series.count) * (barHeight + gap) + 26
        let scale = Scale(domain: 0...longest, range: (left, width - 80), isLogarithmic: false)
        var svg = SVG(width: width, height: height, title: "From the death of a broker to the first acknowledgement elsewhere")
        for (index, name) in names.enumerated() {
            svg.rect(x: left + Double(index) * 150, y: 4, width: 12, height: 12, class: "p-\(index % 5)")
            svg.text(name, x: left + Double(index) * 150 + 18, y: 14)
        }
        for tick in scale.ticks {
            svg.line(x1: scale(tick), y1: top - 6, x2: scale(tick), y2: height - 24, class: "grid")
            svg.text(Format.seconds(tick), x: scale(tick), y: height - 8, anchor: .middle, class: "tick")
        }
        for (row, (mode, failover)) in series.enumerated() {
            let y = top + Double(row) * (barHeight + gap)
            svg.text(mode, x: left - 12, y: y + barHeight / 2 + 5, anchor: .end, class: "mode")
            var sum = 0.0
            for phase in failover.phases {
                let index = names.firstIndex(of: phase.name) ?? 0
                svg.rect(
                    x: scale(sum), y: y, width: max(scale(sum + phase.seconds) - scale(sum), 1), height: barHeight,
                    class: "p-\(index % 5)",
                    tooltip: "\(mode): \(phase.name) \(Format.seconds(phase.seconds))")
                sum += phase.seconds
            }
            svg.text(Format.seconds(sum), x: scale(sum) + 8, y: y + barHeight / 2 + 5, class: "total")
        }
        return svg.markup
    }

    /// Monthly cost by item, one group of stacked bars per price sheet.
    func cost(sheet: String) -> String? {
        let roles = PriceSheet.Role.allCases
        return stackedBars(
            title: "Monthly cost, \(sheet)", unit: "",
            parts: roles.map { (Charts.name(of: $0), "k-\($0.rawValue)") }
        ) { mode in
            guard let cost = mode.cost.first(where: { $0.prices == sheet }) else { return nil }
            return roles.map { role in cost.items.filter { $0.role == role }.reduce(0) { $0 + $1.amount } }
        }
    }

    static func name(of role: PriceSheet.Role) -> String {
        switch role {
        case .volumeStorage: "volumes"
        case .objectStorage: "object storage"
        case .writeRequests: "PUT, LIST requests"
        case .readRequests: "GET requests"
        case .crossZone: "traffic across zones"
        case .brokerHour: "brokers"
        }
    }
}
