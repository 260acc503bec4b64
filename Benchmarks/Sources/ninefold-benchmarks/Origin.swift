//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// What was measured, where and when.
struct Origin {
    /// Short hash, with `+` where files differ from it; `unknown` outside a checkout.
    var commit: String
    var machine: String
    /// ISO 8601, UTC.
    var time: String

    static func probe() -> Origin {
        let hash = Command.output(["git", "rev-parse", "--short", "HEAD"])
        let changes = Command.output(["git", "status", "--porcelain", "--untracked-files=no"])
        let cpu = field("model name", in: "/proc/cpuinfo") ?? "unknown processor"
        let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? "unknown"
        return Origin(
            commit: hash.map { $0 + (changes?.isEmpty == false ? "+" : "") } ?? "unknown",
            machine: "\(cpu), \(ProcessInfo.processInfo.activeProcessorCount) cores, Linux \(kernel.trimmed)",
            time: Date().formatted(.iso8601))
    }

    private static func field(_ name: String, in path: String) -> String? {
        let lines = (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n") ?? []
        return lines.first { $0.hasPrefix(name) }?.split(separator: ":").last.map { String($0).trimmed }
    }
}

extension String {
    fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
