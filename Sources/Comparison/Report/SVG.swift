//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// Just enough of SVG for the report's charts. Colours are CSS classes of the page, so that light and dark both work.
struct SVG {
    let width: Double
    var height: Double
    private var body = ""
    /// What a reader who cannot see the picture is told.
    private let title: String
    private let name: String

    /// - Parameter class: Of the element itself.
    init(width: Double, height: Double, title: String, class name: String = "") {
        self.width = width
        self.height = height
        self.title = title
        self.name = name
    }

    var markup: String {
        """
        <svg class="\(name)" viewBox="0 0 \(n(width)) \(n(height))" role="img" aria-label="\(escape(title))" preserveAspectRatio="xMinYMin meet">\
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

    /// Shapes that stay apart where they cover each other, and without colour.
    enum Marker: CaseIterable { case disc, square, diamond }

    mutating func point(_ marker: Marker, x: Double, y: Double, class name: String, tooltip: String) {
        let title = "<title>\(escape(tooltip))</title>"
        switch marker {
        case .disc: body += #"<circle cx="\#(n(x))" cy="\#(n(y))" r="6.5" class="\#(name)">\#(title)</circle>"#
        case .square:
            body += #"<rect x="\#(n(x - 4.5))" y="\#(n(y - 4.5))" width="9" height="9" class="\#(name)">\#(title)</rect>"#
        case .diamond:
            let corners = [(0.0, -6.0), (6, 0), (0, 6), (-6, 0)].map { "\(n(x + $0.0)),\(n(y + $0.1))" }.joined(separator: " ")
            body += #"<polygon points="\#(corners)" class="\#(name)">\#(title)</polygon>"#
        }
    }

    enum Anchor: String { case start, middle, end }

    mutating func text(_ text: String, x: Double, y: Double, anchor: Anchor = .start, class name: String = "label") {
        body += #"<text x="\#(n(x))" y="\#(n(y))" text-anchor="\#(anchor.rawValue)" class="\#(name)">\#(escape(text))</text>"#
    }

    /// Names beside swatches, in as many rows as they need.
    ///
    /// - Returns: Where the rows end.
    mutating func legend(_ entries: [(name: String, class: String)], left: Double, right: Double) -> Double {
        var x = left, y = 16.0
        for entry in entries {
            let length = 18 + Self.width(of: entry.name) + 18
            if x > left, x + length - 18 > right { (x, y) = (left, y + 20) }
            rect(x: x, y: y - 10, width: 12, height: 12, class: entry.class)
            text(entry.name, x: x + 18, y: y)
            x += length
        }
        return y + 12
    }

    /// Of a text in the charts' font, rather too wide than too narrow.
    static func width(of text: String, size: Double = 13) -> Double { Double(text.count) * size * 0.64 }

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
        let rough = span / (abs(range.1 - range.0) < 350 ? 3 : 5)
        let power = pow(10, floor(log10(rough)))
        let step = ([1, 2, 5, 10].first { $0 * power >= rough } ?? 10) * power
        return stride(from: (domain.lowerBound / step).rounded(.up) * step, through: domain.upperBound + step / 1e6, by: step).map {
            $0
        }
    }

    /// Of these values with their labels, those whose labels stay apart; the first in the list are kept before the later.
    func thinned(_ labels: [(value: Double, text: String)], size: Double = 12) -> [(value: Double, text: String)] {
        var kept: [(from: Double, to: Double, index: Int)] = []
        for (index, label) in labels.enumerated() {
            let half = SVG.width(of: label.text, size: size) / 2 + 3
            let at = self(label.value)
            if kept.allSatisfy({ at + half <= $0.from || at - half >= $0.to }) { kept.append((at - half, at + half, index)) }
        }
        return kept.map { labels[$0.index] }
    }
}
