//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// What one operation of each benchmark may cost, as checked in for one version of the compiler (`Benchmarks/Thresholds/6.3.json`).
public struct Thresholds: Sendable, Hashable {
    /// By benchmark's name.
    public var limits: [String: [Metric: Double]]

    public init(limits: [String: [Metric: Double]] = [:]) { self.limits = limits }

    /// The compiler that built this program: allocations are its optimizer's.
    public static var compilerVersion: String {
        #if compiler(>=6.5)
            "newer"
        #elseif compiler(>=6.4)
            "6.4"
        #elseif compiler(>=6.3)
            "6.3"
        #elseif compiler(>=6.2)
            "6.2"
        #else
            "6.1"
        #endif
    }

    /// - Returns: nil if there is no file for this compiler in `directory`.
    public static func load(from directory: String) throws -> Thresholds? {
        guard FileManager.default.fileExists(atPath: path(in: directory)) else { return nil }
        let stored = try JSONDecoder().decode(
            [String: [String: Double]].self, from: Data(contentsOf: URL(fileURLWithPath: path(in: directory))))
        var thresholds = Thresholds()
        for (benchmark, limits) in stored {
            for (name, limit) in limits {
                guard let metric = Metric(rawValue: name) else {
                    throw BenchmarkFailure("\(path(in: directory)): \(benchmark) has a limit for \(name), which nothing counts")
                }
                thresholds.limits[benchmark, default: [:]][metric] = limit
            }
        }
        return thresholds
    }

    public func store(in directory: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let plain = limits.mapValues { limits in
            Dictionary(uniqueKeysWithValues: limits.map { ($0.key.rawValue, ($0.value * 1000).rounded() / 1000) })
        }
        var data = try encoder.encode(plain)
        data.append(UInt8(ascii: "\n"))
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try data.write(to: URL(fileURLWithPath: Self.path(in: directory)))
    }

    public static func path(in directory: String) -> String { "\(directory)/\(compilerVersion).json" }

    /// What is wrong with `counts`, a line each.
    public func problems(of benchmark: String, _ counts: Counts) -> [String] {
        guard let limits = limits[benchmark] else {
            return ["\(benchmark): no threshold; look at its counts and record them with --update-thresholds"]
        }
        return Metric.allCases.compactMap { metric in
            guard let value = counts[metric] else { return nil }
            guard let limit = limits[metric] else {
                return "\(benchmark): \(metric.rawValue) \(Self.text(value)), without threshold"
            }
            guard metric.isExcess(value, over: limit, of: counts.operations) else { return nil }
            return "\(benchmark): \(metric.rawValue) \(Self.text(value)) per operation, \(Self.text(limit)) allowed"
        }
    }

    /// Counts that lie so far below their thresholds that an excess would hide there, a line each.
    public func slack(of benchmark: String, _ counts: Counts) -> [String] {
        Metric.allCases.compactMap { metric in
            guard let value = counts[metric], let limit = limits[benchmark]?[metric],
                metric.isExcess(limit, over: value, of: counts.operations)
            else { return nil }
            return "\(benchmark): \(metric.rawValue) \(Self.text(value)) per operation, \(Self.text(limit)) allowed: "
                + "record it with --update-thresholds"
        }
    }

    private static func text(_ value: Double) -> String { String(format: "%g", (value * 1000).rounded() / 1000) }
}
