//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Rows that are scenarios of the comparison, on volumes and an object store of one copy.
extension SuiteRun {
    private func comparison(_ scenario: Scenario, _ turn: Turn, _ change: (inout ComparePlan) -> Void) async throws -> ModeResult {
        var compare = ComparePlan(
            modes: [turn.mode], scenarios: [scenario], quick: false, keep: plan.keep, executable: plan.executable,
            version: plan.version, commandLine: plan.commandLine, dataDirectory: turn.directory, volume: "\(turn.directory)/volume",
            objectStoreURL: "file://\(turn.directory)/objects", priceSheets: [], seed: 1)
        compare.walCapacityBytes = 256 << 20
        compare.walUploadThresholdBytes = 64 << 20
        change(&compare)
        return try await ModeRun.execute(compare, mode: turn.mode, progress: Progress(silent: true))
    }

    /// A partition of each size moves its leader to a broker that joined, while a slow producer writes to it.
    func move(_ sizes: [Int64], _ turn: Turn) async throws -> Figures {
        let result = try await comparison(.reassignment, turn) {
            $0.movedPartitionBytes = sizes
            $0.movedSegmentBytes = 64 << 20
        }
        guard let moves = result.reassignment, !moves.runs.isEmpty else {
            throw Failure(result.notMeasured["reassignment"] ?? "nothing was moved")
        }
        var figures = Figures()
        for run in moves.runs { figures.add(Figure.move(bytes: Int64(run.logicalBytes)), run.seconds, "s") }
        if let fit = moves.fit {
            figures.add(Figure.moveFixed, fit.fixedSeconds, "s")
            figures.add(Figure.moveSlope, fit.secondsPerGiB, "s/GiB")
        }
        if let gap = moves.runs.compactMap(\.clientGapSeconds).max() { figures.add(Figure.clientGap, gap, "s") }
        return figures
    }

    /// A broker that leads partitions is killed.
    func failover(sessionMilliseconds: Int, _ turn: Turn) async throws -> Figures {
        let result = try await comparison(.failover, turn) { $0.sessionTimeoutMilliseconds = sessionMilliseconds }
        guard let failover = result.failover, let seconds = failover.seconds else {
            throw Failure(result.failover?.notMeasured["seconds"] ?? result.notMeasured["failover"] ?? "no broker was killed")
        }
        var figures = Figures()
        figures.add(Figure.firstAck, seconds, "s")
        figures.add(Figure.lost, failover.lost, "records")
        return figures
    }
}

extension Figure {
    package static func move(bytes: Int64) -> String { "move of \(bytes >> 20) MiB" }
    package static let moveFixed = "move, fixed part"
    package static let moveSlope = "move, per GiB"
    package static let clientGap = "longest gap between acks"
    package static let firstAck = "first ack after the kill"
    package static let lost = "acknowledged records lost"
    package static let aboveSync = "response p99 above fdatasync p99"
}
