//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import MicroBenchmarks

/// The results as text, a line each as they come.
enum ResultTable {
    private static let nameWidth = 26

    static let head =
        pad("per operation", nameWidth)
        + ["ns min", "ns median", "MB/s", "allocs", "alloc B", "syscalls"].map { left($0, 11) }.joined()
        + "  disk open/read/write/sync  put/get"

    static let legend = """
        ns, MB/s: this machine, now; for reading only. allocs, alloc B: what is asked of malloc. syscalls: of file input and output.
        -: not measured, or the benchmark has no disk, no requests.
        """

    static func line(_ result: BenchmarkResult) -> String {
        let timing = result.timing
        let rate = timing.flatMap { timing in result.benchmark.bytes.map { Double($0) / timing.minimum * 1e3 } }
        let counts = result.counts
        let disk = [Metric.diskOpens, .diskReads, .diskWrites, .diskSyncs].map { text(counts[$0]) }
        let requests = [Metric.putRequests, .getRequests].map { text(counts[$0]) }
        return pad(result.benchmark.name, nameWidth)
            + [
                text(timing?.minimum), text(timing?.median), text(rate), text(counts[.allocations]), text(counts[.allocatedBytes]),
                text(counts[.systemCalls]),
            ].map { left($0, 11) }.joined() + "  " + pad(disk.joined(separator: "/"), 25) + "  " + requests.joined(separator: "/")
    }

    /// Three digits or so; `-` for what was not measured.
    private static func text(_ value: Double?) -> String {
        guard let value else { return "-" }
        if value >= 1_000 { return String(Int(value.rounded())) }
        return String(format: value >= 100 ? "%.0f" : "%.3g", value)
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
    private static func left(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
