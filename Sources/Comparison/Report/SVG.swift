//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// Just enough of SVG for the report's charts. Colours are CSS classes of the page, so that light and dark both work.
struct SVG {
    let width: Double
    let height: Double
    private var body = ""
    /// What a reader who cannot see the picture is told.
    private let title: String

    init(width: Double, height: Double, title: String) {
        self.width = width
        self.height = height
        self.title = title
    }

    var markup: String {
        """
        <svg viewBox="0 0 \(n(width)) \(n(height))" role="img" aria-label="\(escape(title))" preserveAspectRatio="xMinYMin meet">\
        <title>\(escape(title))</title>\(body)</svg>
        """
    }

    mutating func rect(x: Double, y: Double, width: Double, height: Double, class name: String, tooltip: String? = nil) {
        let content = tooltip.map { "<title>\(escape($0))</title>" } ?? ""
        body +=
            #"<rect x="\#(n(x))" y="\#(n(y))" width="\#(n(max(width, 0)))" height="\#(n(max(height, 0)))" class="\#(name)">\#(content)</rect>"#
    }

    mutating func line(x1: Double, y1: Double, x2: Double, y2: Double, class name: String) {
        body += #"<line x1="\#(n(x1))" y1="\#(n(y1))" x2="\#(n(x2))" y2="\#(n(y2))" class="\#(name)"/>"#
    }

    mutating func polyline(_ points: [(Double, Double)], class name: String) {
        guard points.count > 1 else { return }
        body += #"<polyline points="\#(points.map { "\(n($0.0)),\(n($0.1))" }.joined(separator: " "))" class="\#(name)"/>"#
    }

    mutating func circle(x: Double, y: Double, radius: Double, class name: String, tooltip: String) {
        body +=
            #"<circle cx="\#(n(x))" cy="\#(n(y))" r="\#(n(radius))" class="\#(name)"><title>\#(escape(tooltip))</title></circle>"#
    }

    enum Anchor: String { case start, middle, end }

    mutating func text(_ text: String, x: Double, y: Double, anchor: Anchor = .start, class name: String = "label") {
        body += #"<text x="\#(n(x))" y="\#(n(y))" text-anchor="\#(anchor.rawValue)" class="\#(name)">\#(escape(text))</text>"#
    }

    private func n(_ value: Double) -> String {
        let text = String(format: "%.2f", value)
        return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
    }
}

func escape(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
        .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\"", with: "&quot;")
}

/// Maps values to a stretch of pixels, straight or by logarithm.
struct Scale {
    var domain: ClosedRange<Double>
    var range: (Double, Double)
    var isLogarithmic: Bool

    func callAsFunction(_ value: Double) -> Double {
        let (low, high) = (map(domain.lowerBound), map(domain.upperBound))
        guard high > low else { return range.0 }
        return range.0 + (map(min(max(value, domain.lowerBound), domain.upperBound)) - low) / (high - low) * (range.1 - range.0)
    }

    private func map(_ value: Double) -> Double { isLogarithmic ? log10(max(value, .leastNormalMagnitude)) : value }

    /// Powers of ten (and their 2 and 5 when there are few), or round steps.
    var ticks: [Double] {
        if isLogarithmic {
            let first = Int(floor(log10(domain.lowerBound)))
            let last = Int(ceil(log10(domain.upperBound)))
            let steps: [Double] = last - first > 3 ? [1] : [1, 2, 5]
            return (first...max(first, last)).flatMap { power in steps.map { $0 * pow(10, Double(power)) } }.filter {
                domain.contains($0)
            }
        }
        let span = domain.upperBound - domain.lowerBound
        guard span > 0 else { return [] }
        let rough = span / 5
        let power = pow(10, floor(log10(rough)))
        let step = ([1, 2, 5, 10].first { $0 * power >= rough } ?? 10) * power
        return stride(from: (domain.lowerBound / step).rounded(.up) * step, through: domain.upperBound + step / 1e6, by: step).map {
            $0
        }
    }
}
