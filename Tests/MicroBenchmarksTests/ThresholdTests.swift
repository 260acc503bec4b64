//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import MicroBenchmarks
import Testing

@Suite struct ThresholdTests {
    private let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
        "ninefold-thresholds-\(UUID().uuidString)"
    )
    .path

    @Test func anExcessIsNamedWithWhatIsAllowed() {
        let thresholds = Thresholds(limits: ["log.append.1": [.allocations: 9, .diskWrites: 1]])
        let problems = thresholds.problems(of: "log.append.1", counts([.allocations: 10, .diskWrites: 1]))
        #expect(problems == ["log.append.1: allocations 10 per operation, 9 allowed"])
    }

    @Test func aZeroStaysZero() {
        let thresholds = Thresholds(limits: ["epochs.end.100": [.allocations: 0]])
        #expect(thresholds.problems(of: "epochs.end.100", counts([.allocations: 0])) == [])
        #expect(thresholds.problems(of: "epochs.end.100", counts([.allocations: 0.01])).count == 1)
    }

    @Test func whatHappensNowAndThenMayHappenTwiceMoreAndWhatHappensAlwaysNoMore() {
        let thresholds = Thresholds(limits: ["log.append.1": [.allocations: 9.125, .diskWrites: 1]])
        #expect(thresholds.problems(of: "log.append.1", counts([.allocations: 9.375, .diskWrites: 1], operations: 8)) == [])
        #expect(thresholds.problems(of: "log.append.1", counts([.allocations: 9.5, .diskWrites: 1], operations: 8)).count == 1)
        #expect(
            thresholds.problems(of: "log.append.1", counts([.allocations: 9.125, .diskWrites: 1.125], operations: 8)).count == 1)
    }

    @Test func fewerThanAllowedIsNoProblemButNamed() {
        let thresholds = Thresholds(limits: ["wal.commit.64": [.allocations: 400, .diskSyncs: 1]])
        let counts = counts([.allocations: 300, .diskSyncs: 1])
        #expect(thresholds.problems(of: "wal.commit.64", counts) == [])
        #expect(
            thresholds.slack(of: "wal.commit.64", counts) == [
                "wal.commit.64: allocations 300 per operation, 400 allowed: record it with --update-thresholds"
            ])
    }

    @Test func whatHasNoThresholdIsAProblem() {
        #expect(Thresholds().problems(of: "new.one", counts([.allocations: 1])).count == 1)
        let partial = Thresholds(limits: ["wal.commit.1": [.allocations: 9]])
        #expect(
            partial.problems(of: "wal.commit.1", counts([.allocations: 9, .diskSyncs: 1])) == [
                "wal.commit.1: diskSyncs 1, without threshold"
            ])
    }

    @Test func whatWasNotCountedIsNotHeldAgainstItsThreshold() {
        let thresholds = Thresholds(limits: ["wal.commit.1": [.allocations: 9, .diskSyncs: 1]])
        #expect(thresholds.problems(of: "wal.commit.1", counts([.diskSyncs: 1])) == [])
    }

    @Test func theyAreReadBackAsTheyWereStored() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        #expect(try Thresholds.load(from: directory) == nil)
        let thresholds = Thresholds(limits: ["a.b": [.allocations: 1.25, .allocatedBytes: 4_096], "c": [.getRequests: 2]])
        try thresholds.store(in: directory)
        #expect(try Thresholds.load(from: directory) == thresholds)
    }

    @Test func aLimitForWhatNothingCountsIsRefused() throws {
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Thresholds(limits: ["a": [.allocations: 1]]).store(in: directory)
        let path = Thresholds.path(in: directory)
        try Data(#"{"a": {"mallocs": 1}}"#.utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: BenchmarkFailure.self) { try Thresholds.load(from: directory) }
    }

    private func counts(_ values: [Metric: Double], operations: Int = 1) -> Counts {
        Counts(values: values, operations: operations)
    }
}
