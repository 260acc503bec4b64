//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterSimulation
import Foundation
import SimulationKit
import Testing

/// Runs seeds one after the other in processes of their own: one whose dictionaries have the same order each time, which a failed
/// precondition may end without taking the other tests along, and which gives back the memory of its worlds.
enum SeedWalk {
    /// In CI: seeds 1 to so many of each mode. `NINEFOLD_SIMULATION_SEEDS` says otherwise.
    static var usualCount: UInt64 {
        ProcessInfo.processInfo.environment["NINEFOLD_SIMULATION_SEEDS"].flatMap { UInt64($0) } ?? 1_000
    }

    private static let seedsPerProcess = 100
    private static let order = "NINEFOLD_SIMULATION"
    private static let reportPath = "NINEFOLD_SIMULATION_REPORT"

    struct Result: Sendable, Hashable {
        var seed: UInt64
        var digest: UInt64
        /// nil if all was well.
        var failure: String?
        var tally: [Probe: Int] = [:]
    }

    /// - Returns: A result a seed, up to the first that failed.
    static func run(_ mode: StorageMode, _ seeds: [UInt64], mix: FaultMix = .all) throws -> [Result] {
        var results: [Result] = []
        for start in stride(from: 0, to: seeds.count, by: seedsPerProcess) {
            let part = Array(seeds[start..<min(seeds.count, start + seedsPerProcess)])
            results += try runProcess(mode, part, mix)
            if results.last?.failure != nil || results.count < start + part.count { break }
        }
        return results
    }

    /// What repeats a failure.
    static func command(_ mode: StorageMode, _ seed: UInt64) -> String {
        "NINEFOLD_SEED=\(seed) NINEFOLD_TRACE=1 swift test -c release --filter ClusterSimulationTests.FaultTests/\(mode.rawValue)"
    }

    // MARK: The parent

    private static func runProcess(_ mode: StorageMode, _ seeds: [UInt64], _ mix: FaultMix) throws -> [Result] {
        let report = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-simulation-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: report) }
        let child = Process()
        child.executableURL = URL(fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        child.arguments = ["--testing-library", "swift-testing", "--filter", "ClusterSimulationTests.ChildTests"]
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_DETERMINISTIC_HASHING"] = "1"
        environment["NINEFOLD_SEED"] = nil
        environment[order] = "\(mode.rawValue) \(mix.rawValue) " + seeds.map(String.init).joined(separator: ",")
        environment[reportPath] = report.path
        child.environment = environment
        // Swift Testing reports on standard error; a trap's message comes there too.
        let messages = report.appendingPathExtension("err")
        _ = FileManager.default.createFile(atPath: messages.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: messages) }
        if environment["NINEFOLD_TRACE"] == nil {
            child.standardOutput = FileHandle.nullDevice
            child.standardError = try FileHandle(forWritingTo: messages)
        }
        try child.run()
        child.waitUntilExit()
        let lines = ((try? String(contentsOf: report, encoding: .utf8)) ?? "").split(separator: "\n")
        var results: [Result] = []
        for line in lines {
            let parts = line.split(separator: "\t", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
            guard let seed = UInt64(parts[1]) else { continue }
            if parts[0] == "begin" {
                let last = ((try? String(contentsOf: messages, encoding: .utf8)) ?? "").split(separator: "\n").suffix(20)
                results.append(
                    Result(
                        seed: seed, digest: 0,
                        failure: "the process ended (status \(child.terminationStatus))\n" + last.joined(separator: "\n")))
            } else {
                let failure = parts[4].isEmpty ? nil : parts[4].replacingOccurrences(of: "\u{1F}", with: "\n")
                let counts = parts[3].split(separator: ",").compactMap { Int($0) }
                let tally = Dictionary(uniqueKeysWithValues: zip(Probe.allCases, counts))
                results[results.count - 1] = Result(seed: seed, digest: UInt64(parts[2])!, failure: failure, tally: tally)
            }
        }
        return results
    }

    // MARK: The child

    /// Whether this process was started to walk seeds.
    static var isChild: Bool { ProcessInfo.processInfo.environment[order] != nil }

    static func obey() throws {
        let environment = ProcessInfo.processInfo.environment
        guard let parts = environment[order]?.split(separator: " "), parts.count == 3,
            let mode = StorageMode(rawValue: String(parts[0])),
            let mix = Int(parts[1]), let report = environment[reportPath]
        else { return }
        _ = FileManager.default.createFile(atPath: report, contents: nil)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: report))
        let prints = environment["NINEFOLD_TRACE"] != nil
        for seed in parts[2].split(separator: ",").compactMap({ UInt64($0) }) {
            file.write(Data("begin\t\(seed)\n".utf8))
            var simulation = ClusterSimulation(mode: mode, seed: seed)
            simulation.mix = FaultMix(rawValue: mix)
            simulation.keepsEvents = true
            simulation.printsEvents = prints
            let outcome = onThread { [simulation] in simulation.run() }
            var failure = ""
            if let problem = outcome.failure {
                failure =
                    ([problem, "  variant: " + outcome.variant] + outcome.faults.map { "  fault at " + $0 } + ["  its last events:"]
                    + outcome.events.suffix(15).map { "    " + $0 }).joined(separator: "\u{1F}")
            }
            let counts = Probe.allCases.map { String(outcome.tally[$0] ?? 0) }.joined(separator: ",")
            file.write(
                Data("end\t\(seed)\t\(outcome.digest)\t\(counts)\t\(failure.replacingOccurrences(of: "\n", with: "\u{1F}"))\n".utf8)
            )
            if outcome.failure != nil, environment["NINEFOLD_SIMULATION_GOES_ON"] == nil { break }
        }
    }

    /// A thread that Swift's pool does not know, with room for deep calls.
    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
        nonisolated(unsafe) var value: Value?
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            value = body()
            done.signal()
        }
        thread.stackSize = 16 << 20
        thread.start()
        done.wait()
        return value!
    }
}

/// Not a test of its own: what a child of ``SeedWalk`` runs.
@Suite(.enabled(if: SeedWalk.isChild)) struct ChildTests {
    @Test func walk() throws { try SeedWalk.obey() }
}
