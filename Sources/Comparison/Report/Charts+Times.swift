//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// Pictures of times.
extension Charts {
    private static func marker(_ index: Int) -> SVG.Marker { SVG.Marker.allCases[index % SVG.Marker.allCases.count] }

    /// Seconds against bytes, both axes logarithmic, points measured, lines fitted.
    func reassignment() -> String? {
        let series = result.modes.compactMap { mode in mode.reassignment.map { (mode.mode, $0) } }.filter { !$0.1.runs.isEmpty }
        let points = series.flatMap { $0.1.runs }
        let sizes = points.map(\.logicalBytes).filter { $0 > 0 }
        let times = points.map(\.seconds).filter { $0 > 0 }
        guard let smallest = sizes.min(), let largest = sizes.max(), let fastest = times.min(), let slowest = times.max() else {
            return nil
        }
        let right = width - 74, top = 16.0, bottom = size == .wide ? 310.0 : 250
        let x = Scale(domain: smallest / 1.4...largest * 1.4, range: (left, right), isLogarithmic: true)
        let y = Scale(domain: fastest / 2...slowest * 2, range: (bottom, top), isLogarithmic: true)
        var svg = svg(height: bottom + 44, title: "Seconds to move a partition against its size, log axes")
        verticalAxis(&svg, y, right: right)
        horizontalAxis(
            &svg, x, Set(sizes).sorted().map { ($0, Format.bytes($0)) }, top: top, bottom: bottom,
            caption: "size of the partition, logical bytes (log)")
        for (mode, result) in series {
            guard let fit = result.fit else { continue }
            let curve = (0...60).map { step -> (Double, Double) in
                let size = smallest * pow(largest / smallest, Double(step) / 60)
                let seconds = fit.fixedSeconds + fit.secondsPerGiB * size / 1_073_741_824
                return (x(size), y(max(seconds, y.domain.lowerBound)))
            }
            svg.polyline(curve, class: "fit c-\(ModeVariant.storageMode(of: mode))")
        }
        for (index, (mode, result)) in series.enumerated() {
            for run in result.runs {
                svg.point(
                    Self.marker(index), x: x(run.logicalBytes), y: y(run.seconds),
                    class: "point c-\(ModeVariant.storageMode(of: mode))",
                    tooltip:
                        "\(mode): \(Format.bytes(run.logicalBytes)) in \(Format.seconds(run.seconds)), \(Format.bytes(run.bytesMoved)) moved"
                )
            }
        }
        let ends = series.compactMap { mode, result in
            result.runs.max { $0.logicalBytes < $1.logicalBytes }.map { (mode, x($0.logicalBytes), y($0.seconds)) }
        }
        for (mode, at, height) in Self.apart(ends, below: bottom) {
            svg.text(mode, x: at + 12, y: height + 5, class: "mode t-\(ModeVariant.storageMode(of: mode))")
        }
        return svg.markup
    }

    /// Labels at these heights, moved so that none covers another.
    private static func apart(_ labels: [(String, Double, Double)], below bottom: Double) -> [(String, Double, Double)] {
        var sorted = labels.sorted { $0.2 < $1.2 }
        for index in sorted.indices.dropFirst() { sorted[index].2 = max(sorted[index].2, sorted[index - 1].2 + 16) }
        let excess = max(0, (sorted.last?.2 ?? 0) - bottom)
        return sorted.map { ($0.0, $0.1, $0.2 - excess) }
    }

    /// Response time over quantiles on the usual 1/(1-q) axis.
    func responseTimes() -> String? {
        let series = result.modes.compactMap { mode in
            mode.steady.map { (mode.mode, $0.responseCurve.filter { $0.count == 2 && $0[1] > 0 }) }
        }
        .filter { !$0.1.isEmpty }
        let all = series.flatMap { $0.1 }.map { $0[1] }
        guard let fastest = all.min(), let slowest = all.max() else { return nil }
        let right = width - 34, height = size == .wide ? 280.0 : 230
        var svg = svg(height: 0, title: "Response time from the intended send, by percentile, log axis")
        let top = svg.legend(series.map { ($0.0, "swatch c-\($0.0)") }, left: left, right: width - 8)
        let bottom = top + height
        svg.height = bottom + 44
        let x = Scale(domain: 1...10_000, range: (left, right), isLogarithmic: true)
        let y = Scale(domain: fastest / 1.3...slowest * 1.3, range: (bottom, top), isLogarithmic: true)
        verticalAxis(&svg, y, right: right)
        let quantiles = [(0.99, "99 %"), (0.5, "50 %"), (0.9, "90 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"), (0, "0")]
        horizontalAxis(
            &svg, x, quantiles.map { (1 / (1 - $0.0), $0.1) }, top: top, bottom: bottom,
            caption: "share of records acknowledged within")
        for (mode, curve) in series {
            svg.polyline(
                curve.filter { $0[0] < 0.99995 }.map { (x(1 / (1 - $0[0])), y($0[1])) },
                class: "curve c-\(ModeVariant.storageMode(of: mode))")
        }
        return svg.markup
    }

    /// Phases of a failover after one another, one bar per mode, on one time axis.
    func failover() -> String? {
        let series = result.modes.compactMap { mode in mode.failover.map { (mode.mode, $0.phases) } }.filter { !$0.1.isEmpty }
        guard series.contains(where: { $0.1.contains { $0.seconds > 0 } }) else { return nil }
        var names: [String] = []
        for (_, phases) in series { for phase in phases where !names.contains(phase.name) { names.append(phase.name) } }
        return stackedBars(
            title: "From the death of a broker to the first acknowledgement elsewhere, by mode and phase",
            axis: "time since the broker's death", parts: names.enumerated().map { ($0.element, "p-\($0.offset % 5)") },
            bars: series.map { mode, phases in
                let values = names.map { name in phases.filter { $0.name == name }.reduce(0) { $0 + $1.seconds } }
                return Bar(mode: mode, values: values, total: Format.seconds(values.reduce(0, +)))
            }, format: Format.seconds)
    }
}
