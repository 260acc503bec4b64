//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation

extension BenchRun.Outcome {
    /// Writes OpenMessaging's result and, beside it, what that lacks: each whole or not at all.
    ///
    /// - Returns: The two paths; the first is named as OpenMessaging names it, `WORKLOAD-DRIVER-yyyy-MM-dd-HH-mm-ss.json`.
    package func write(into directory: String, at date: Date = Date()) throws -> (omb: String, extra: String) {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd-HH-mm-ss"
        let stem = "\(omb.workload)-\(omb.driver)-\(formatter.string(from: date))".replacing("/", with: "_")
        let base = URL(fileURLWithPath: directory).appendingPathComponent(stem).path
        let paths = (omb: base + ".json", extra: base + ".extra.json")
        try omb.json().write(to: URL(fileURLWithPath: paths.omb), options: .atomic)
        try extra.json().write(to: URL(fileURLWithPath: paths.extra), options: .atomic)
        return paths
    }
}

/// Runs a workload from its own event loops: all of `ninefold bench` but reading its options and printing.
package func runBench(_ run: BenchRun, progress: @escaping @Sendable (String) -> Void) async throws -> BenchRun.Outcome {
    try await LoadGenerator.withOwnLoops(progress: progress) { try await run.run($0) }
}
