//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// The table of the data path, measured: rows one after the other, and within a row the modes in turn, so that what the machine does
/// from minute to minute meets them alike.
package struct SuiteRun: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
        init(_ description: String) { self.description = description }
    }

    /// A row in a mode, under way.
    struct Turn: Sendable {
        var row: SuiteRow
        var mode: String
        var directory: String
    }

    let plan: SuitePlan
    let progress: Progress
    var counter: AllocationCounter?
    private var counterFailure = "not asked for"

    package init(_ plan: SuitePlan, progress: Progress) {
        self.plan = plan
        self.progress = progress
    }

    /// Runs all rows; `finished` is handed each result as its row ends, so that nothing is lost if a later one fails.
    package mutating func execute(_ finished: (SuiteResult) throws -> Void) async throws {
        if plan.countsAllocations {
            do throws(AllocationCounter.Failure) {
                counter = try await AllocationCounter(executable: plan.executable, into: plan.dataDirectory)
            } catch { counterFailure = error.description }
        }
        let commit = await commit()
        let machine = EnvironmentCapture.probe(
            version: plan.version, dataDirectory: plan.dataDirectory, commandLine: plan.commandLine)
        for row in plan.rows {
            var results = modes(of: row).map { mode in
                var settings = plan.topicConfiguration(mode: mode)
                if mode != SuitePlan.againstName {
                    settings.merge(plan.brokerProperties(row, mode: mode, directory: "DIR")) { $1 }
                }
                return SuiteResult(
                    row: row, mode: mode, startedAt: Date().formatted(.iso8601), commit: commit, machine: machine,
                    settings: settings)
            }
            for number in 1...plan.repeats {
                // Each time another mode is first.
                for offset in results.indices {
                    await run(row, number, into: &results[(offset + number - 1) % results.count])
                }
            }
            for index in results.indices { await countAllocations(row, into: &results[index]) }
            compareWithISR(&results)
            for index in results.indices {
                let marks = row.marks[results[index].mode] ?? []
                if marks.contains(where: { $0.figure == Figure.isrRatio }), results[index].figures[Figure.isrRatio] == nil {
                    results[index].notMeasured[Figure.isrRatio] = "isr was not measured beside it"
                }
                results[index].judge(marks)
                try finished(results[index])
            }
        }
    }

    /// Those of the plan, and the cluster beside ours if the row can be put to it.
    private func modes(of row: SuiteRow) -> [String] {
        let own = plan.modes.filter { row.modes?.contains($0) ?? true }
        return plan.against != nil && row.startsNoBroker ? own + [SuitePlan.againstName] : own
    }

    // MARK: One run

    private func run(_ row: SuiteRow, _ number: Int, into result: inout SuiteResult) async {
        let turn = Turn(row: row, mode: result.mode, directory: "\(plan.dataDirectory)/\(row.name)-\(result.mode)-\(number)")
        defer { if !plan.keep { try? FileManager.default.removeItem(atPath: turn.directory) } }
        do {
            let before = try MachineLimits.measure(in: turn.directory)
            var figures = try await perform(turn)
            var limits = before
            limits.add(try MachineLimits.measure(in: turn.directory))
            relate(&figures, to: limits, row)
            result.figures.add(figures)
            result.limits.add(limits)
            result.repeats += 1
            progress("\(row.name) \(result.mode), run \(number): \(Self.summary(figures))")
        } catch {
            result.notMeasured["run \(number)"] = "\(error)"
            progress("\(row.name) \(result.mode), run \(number) failed: \(error)")
        }
    }

    private func perform(_ turn: Turn) async throws -> Figures {
        switch turn.row.work {
        case .produce(let load): try await produce(load, turn)
        case .consume(let load): try await consume(load, turn)
        case .move(let sizes): try await move(sizes, turn)
        case .failover(let milliseconds): try await failover(sessionMilliseconds: milliseconds, turn)
        case .catchUp(let bytes): try await catchUp(bytes, turn)
        case .partitions(let count): try await partitions(count, turn)
        case .connections(let count): try await connections(count, turn)
        case .sparseLog(let gibibytes): try await sparseLog(gibibytes: gibibytes, turn)
        case .objects(let count): try await objects(count, turn)
        case .stalledStore(let load): try await stalledStore(load, turn)
        case .slowConsumers(let count): try await slowConsumers(count, turn)
        }
    }

    /// The machine's floor beside the figures.
    private func relate(_ figures: inout Figures, to limits: Figures, _ row: SuiteRow) {
        guard case .produce(let load) = row.work else { return }
        if row.comparesWithSync, let response = figures.median(Figure.responseP99), let sync = limits.median(MachineLimits.syncP99)
        {
            figures.add(Figure.aboveSync, response - sync, "s")
        }
        // What goes record by record is bound by calls and wake-ups, not by bytes.
        guard load.recordsPerSecond == nil, load.batchBytes >= MachineLimits.Chunk.small.bytes,
            let cpu = figures.median(Figure.brokerCPU),
            let floor = MachineLimits.floor(limits, MachineLimits.Chunk(batchBytes: load.batchBytes))
        else { return }
        figures.add(Figure.floor, floor, MachineLimits.cpuUnit)
        figures.add(Figure.floorRatio, cpu / floor, "×")
    }

    private func countAllocations(_ row: SuiteRow, into result: inout SuiteResult) async {
        guard case .produce(let load) = row.work, result.repeats > 0 else { return }
        guard counter != nil else { return result.notMeasured[Figure.allocations] = counterFailure }
        guard result.mode != SuitePlan.againstName else {
            result.notMeasured[Figure.allocations] = "not a broker that was started here"
            return
        }
        let turn = Turn(row: row, mode: result.mode, directory: "\(plan.dataDirectory)/\(row.name)-\(result.mode)-counted")
        defer { if !plan.keep { try? FileManager.default.removeItem(atPath: turn.directory) } }
        do {
            let counted = try await allocationsPerRequest(load, turn)
            result.figures.add(Figure.allocations, counted, "per produce request")
        } catch { result.notMeasured[Figure.allocations] = "\(error)" }
    }

    /// What another mode takes above isr, median by median.
    private func compareWithISR(_ results: inout [SuiteResult]) {
        guard let isr = results.first(where: { $0.mode == "isr" })?.figures.median(Figure.brokerCPU), isr > 0 else {
            return
        }
        for index in results.indices where results[index].mode != "isr" {
            guard let cpu = results[index].figures.median(Figure.brokerCPU) else { continue }
            results[index].figures.add(Figure.isrRatio, cpu / isr, "×")
        }
    }

    static func summary(_ figures: Figures) -> String {
        let told = [Figure.throughput, Figure.brokerCPU, Figure.floor, Figure.responseP99]
        if figures[Figure.throughput] != nil {
            return told.compactMap { name in figures[name].map { "\(name) \(SuiteTable.text($0))" } }.joined(separator: ", ")
        }
        return figures.spreads.sorted { $0.key < $1.key }.map { "\($0.key) \(SuiteTable.text($0.value))" }.joined(separator: ", ")
    }

    // MARK: Where and what

    /// Removes what a run may have left: for the end and for Ctrl-C.
    package static func clean(_ plan: SuitePlan) {
        guard !plan.keep else { return }
        try? FileManager.default.removeItem(atPath: plan.dataDirectory)
    }

    /// The commit of the sources in the working directory.
    private func commit() async -> String {
        func git(_ arguments: [String]) async -> String? {
            let log = "\(plan.dataDirectory)/git.log"
            try? FileManager.default.createDirectory(atPath: plan.dataDirectory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: log) }
            guard
                let process = try? ChildProcess(
                    name: "git", executable: "/usr/bin/env", arguments: ["git"] + arguments, logPath: log),
                await process.waitForExit() == 0
            else { return nil }
            return (try? String(contentsOfFile: log, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        guard let commit = await git(["rev-parse", "--short=12", "HEAD"]) else { return "unknown" }
        return await git(["status", "--porcelain", "--untracked-files=no"]) == "" ? commit : commit + "+"
    }
}

extension SuiteRow {
    /// Whether any cluster can be put to it as it is.
    var startsNoBroker: Bool {
        switch work {
        case .produce, .consume: modes == nil
        default: false
        }
    }
}
