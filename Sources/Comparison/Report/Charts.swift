//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Metering

/// The report's pictures, each drawn from the result alone, once for a page and once for a telephone: text that is scaled down with its
/// picture could not be read.
struct Charts {
    enum Size: String, CaseIterable { case wide, narrow }

    let result: CompareResult
    let size: Size

    init(result: CompareResult, size: Size = .wide) {
        self.result = result
        self.size = size
    }

    var width: Double { size == .wide ? 760 : 360 }
    /// Room for the modes' names.
    var left: Double { size == .wide ? 84 : 62 }

    /// Both sizes of a picture; the page's style shows one of them. nil where there is nothing to draw.
    static func figure(_ result: CompareResult, caption: String, _ draw: (Charts) -> String?) -> String? {
        let pictures = Size.allCases.compactMap { draw(Charts(result: result, size: $0)) }
        let note = caption.isEmpty ? "" : "<figcaption>\(escape(caption))</figcaption>"
        return pictures.isEmpty ? nil : "<figure>\(pictures.joined())\(note)</figure>"
    }

    func svg(height: Double, title: String) -> SVG { SVG(width: width, height: height, title: title, class: size.rawValue) }

    struct Bar {
        var mode: String
        var values: [Double]
        /// After the bar's end.
        var total: String
    }

    /// One stacked bar per mode: the parts, their total at the end, a legend above, the unit below.
    func stackedBars(
        title: String, axis: String, parts: [(name: String, class: String)], bars: [Bar], format: (Double) -> String
    ) -> String? {
        guard !bars.isEmpty else { return nil }
        let barHeight = 32.0, gap = 14.0
        let right = width - 14 - (bars.map { SVG.width(of: $0.total) }.max() ?? 0)
        let used = parts.indices.filter { index in bars.contains { $0.values[index] > 0 } }
        var svg = svg(height: 0, title: title)
        let top = svg.legend(used.map { parts[$0] }, left: size == .wide ? left : 8, right: width - 8)
        let bottom = top + Double(bars.count) * (barHeight + gap)
        svg.height = bottom + 44
        let largest = bars.map { $0.values.reduce(0, +) }.max() ?? 1
        let scale = Scale(domain: 0...max(largest, 1e-9), range: (left, right), isLogarithmic: false)
        horizontalAxis(&svg, scale, scale.ticks.map { ($0, Format.tidy(format($0))) }, top: top, bottom: bottom, caption: axis)
        for (row, bar) in bars.enumerated() {
            let y = top + Double(row) * (barHeight + gap) + gap / 2
            svg.text(bar.mode, x: left - 10, y: y + barHeight / 2 + 5, anchor: .end, class: "mode")
            var sum = 0.0
            for index in used where bar.values[index] > 0 {
                let x = scale(sum), end = scale(sum + bar.values[index])
                let label = format(bar.values[index])
                svg.rect(
                    x: x, y: y, width: end - x, height: barHeight, class: parts[index].class,
                    tooltip: "\(bar.mode): \(parts[index].name) \(label)")
                if end - x > SVG.width(of: label, size: 12) + 6 {
                    svg.text(label, x: (x + end) / 2, y: y + barHeight / 2 + 5, anchor: .middle, class: "inbar")
                }
                sum += bar.values[index]
            }
            svg.text(bar.total, x: scale(sum) + 7, y: y + barHeight / 2 + 5, class: "total")
        }
        return svg.markup
    }

    func horizontalAxis(
        _ svg: inout SVG, _ scale: Scale, _ ticks: [(value: Double, text: String)], top: Double, bottom: Double, caption: String
    ) {
        for tick in ticks { svg.line(x1: scale(tick.value), y1: top, x2: scale(tick.value), y2: bottom, class: "grid") }
        for tick in scale.thinned(ticks) {
            svg.text(tick.text, x: scale(tick.value), y: bottom + 16, anchor: .middle, class: "tick")
        }
        svg.text(caption, x: (scale.range.0 + scale.range.1) / 2, y: bottom + 36, anchor: .middle, class: "axis")
    }

    func verticalAxis(_ svg: inout SVG, _ scale: Scale, right: Double) {
        for tick in scale.ticks {
            svg.line(x1: left, y1: scale(tick), x2: right, y2: scale(tick), class: "grid")
            svg.text(Format.tidy(Format.seconds(tick)), x: left - 8, y: scale(tick) + 4, anchor: .end, class: "tick")
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
