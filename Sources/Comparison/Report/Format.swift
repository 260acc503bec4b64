//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// Numbers as a reader wants them: three significant digits, SI prefixes for bytes, the fitting unit for seconds.
package enum Format {
    package static func number(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        let magnitude = abs(value)
        if magnitude == 0 { return "0" }
        if magnitude >= 1_000_000 { return scaled(value, [(1e12, " T"), (1e9, " G"), (1e6, " M")]) }
        if magnitude >= 1_000 { return grouped(value.rounded()) }
        if magnitude >= 100 { return String(format: "%.0f", value) }
        if magnitude >= 10 { return String(format: "%.1f", value) }
        if magnitude >= 0.01 { return String(format: "%.2f", value) }
        return String(format: "%.2g", value)
    }

    package static func ratio(_ value: Double) -> String { value.isFinite ? String(format: "%.2f", value) : "–" }

    package static func bytes(_ value: Double) -> String {
        guard abs(value) >= 1_000 else { return "\(Int(value)) B" }
        return scaled(value, [(1e15, " PB"), (1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB")])
    }

    package static func seconds(_ value: Double) -> String {
        switch abs(value) {
        case 0: "0 s"
        case ..<1e-3: scaled(value, [(1e-6, " µs")])
        case ..<1: scaled(value, [(1e-3, " ms")])
        case ..<120: significant(value) + " s"
        case ..<7_200: significant(value / 60) + " min"
        default: significant(value / 3_600) + " h"
        }
    }

    package static func money(_ value: Double, _ currency: String) -> String {
        let text = value >= 100 ? grouped(value.rounded()) : String(format: "%.2f", value)
        return currency == "USD" ? "$\(text)" : "\(text) \(currency)"
    }

    /// A number without the zeros behind its point: for axes, and for counts.
    static func tidy(_ text: String) -> String {
        let end = text.firstIndex { !($0.isNumber || "$-.,".contains($0)) } ?? text.endIndex
        var number = text[..<end]
        guard number.contains(".") else { return text }
        while number.hasSuffix("0") { number.removeLast() }
        if number.hasSuffix(".") { number.removeLast() }
        return String(number) + text[end...]
    }

    private static func scaled(_ value: Double, _ units: [(Double, String)]) -> String {
        for (unit, suffix) in units where abs(value) >= unit { return significant(value / unit) + suffix }
        guard let last = units.last else { return significant(value) }
        return significant(value / last.0) + last.1
    }

    private static func significant(_ value: Double) -> String {
        let magnitude = abs(value)
        return String(format: magnitude >= 100 ? "%.0f" : magnitude >= 10 ? "%.1f" : "%.2f", value)
    }

    private static func grouped(_ value: Double) -> String {
        let digits = String(Int64(abs(value)))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (value < 0 ? "-" : "") + text
    }
}

/// How a figure came about; every number carries one.
package enum Provenance: String, Sendable, CaseIterable {
    case measured = "M"
    case computed = "C"
    case simulated = "S"
    case quoted = "Q"

    package var meaning: String {
        switch self {
        case .measured: "measured: counted or timed in this run"
        case .computed: "computed from measured counts"
        case .simulated: "simulated from measured coefficients"
        case .quoted: "quoted from a source that is named"
        }
    }

    package static let legend = "M measured · C computed from measured counts · S simulated · Q quoted"
}
