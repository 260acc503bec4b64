//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Foundation
import Testing

@Suite struct SuiteTests {
    // MARK: /proc

    @Test func usageIsReadFromProc() {
        var usage = ProcessUsage()
        usage.take(io: "rchar: 3238\nwchar: 941\nsyscr: 12\nsyscw: 7\nread_bytes: 0\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n")
        usage.take(status: "Name:\tninefold serve: x\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nvoluntary_ctxt_switches:\t9\n")
        usage.take(threadStatus: "voluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t2\n")
        usage.take(threadStatus: "voluntary_ctxt_switches:\t30\nnonvoluntary_ctxt_switches:\t1\n")
        #expect(usage.readCalls == 12 && usage.writeCalls == 7 && usage.bytesWritten == 941)
        #expect(usage.residentBytes == 1 << 20 && usage.residentBytesMax == 2 << 20)
        #expect(usage.voluntarySwitches == 39 && usage.involuntarySwitches == 3)
    }

    @Test func whatIsUsedBetweenTwoLooksKeepsTheLaterSizes() {
        var (before, after) = (ProcessUsage(), ProcessUsage())
        (before.cpuSeconds, before.readCalls, before.residentBytes, before.voluntarySwitches) = (1, 10, 100, 8)
        (after.cpuSeconds, after.readCalls, after.residentBytes, after.voluntarySwitches) = (3, 25, 70, 5)
        let used = after - before
        #expect(used.cpuSeconds == 2 && used.readCalls == 15 && used.residentBytes == 70)
        // A thread that ended took its switches with it.
        #expect(used.voluntarySwitches == 0)
        #expect((after + before).readCalls == 35)
    }

    @Test func ownProcessCanBeLookedAtAndNoneCannot() throws {
        let usage = try #require(ProcessUsage.of(pid: ProcessInfo.processInfo.processIdentifier))
        #expect(usage.readCalls > 0 && usage.residentBytes > 0)
        #expect(ProcessUsage.of(pid: Int32.max) == nil)
    }

    @Test func allocationCountsAreTwoNumbers() throws {
        let counts = try #require(AllocationCounter.Counts(Data([1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])))
        #expect(counts.allocations == 513 && counts.bytes == 65_536)
        #expect(AllocationCounter.Counts(Data([1, 2, 3])) == nil)
    }

    // MARK: Statistics

    @Test(arguments: [([3.0, 1.0, 2.0], 2.0), ([4.0, 1.0, 2.0, 3.0], 2.5), ([7.0], 7.0)])
    func theMedianIsTheMiddle(values: [Double], median: Double) {
        #expect(Spread(unit: "s", values: values).median == median)
    }

    @Test func noValueHasNoMedian() { #expect(Spread(unit: "s", values: []).median == nil) }

    @Test func theFloorIsReceiveAndChecksumAndAppendOfTheChunk() {
        var limits = Figures()
        limits.add(MachineLimits.receive(.small), 0.2, MachineLimits.cpuUnit)
        limits.add(MachineLimits.append(.small), 0.4, MachineLimits.cpuUnit)
        #expect(MachineLimits.floor(limits, .small) == nil)
        limits.add(MachineLimits.checksum, 0.05, MachineLimits.cpuUnit)
        #expect(abs(MachineLimits.floor(limits, .small)! - 0.65) < 1e-9)
        #expect(MachineLimits.floor(limits, .large) == nil)
        #expect(MachineLimits.Chunk(batchBytes: 16_384) == .small && MachineLimits.Chunk(batchBytes: 1_000_000) == .large)
    }

    @Test func limitsAreMeasured() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let limits = try MachineLimits.measure(in: directory)
        for kind in MachineLimits.Chunk.allCases {
            let floor = try #require(MachineLimits.floor(limits, kind))
            #expect(floor > 0)
        }
        let (p50, p99) = (try #require(limits.median(MachineLimits.syncP50)), try #require(limits.median(MachineLimits.syncP99)))
        #expect(p99 >= p50)
        let left = try FileManager.default.contentsOfDirectory(atPath: directory)
        #expect(left.isEmpty)
    }

    // MARK: Rows and results

    @Test func rowsHaveNamesOfTheirOwnAndMarksOfModesThatAre() {
        #expect(Set(SuiteRow.table.map(\.name)).count == SuiteRow.table.count)
        for row in SuiteRow.table {
            #expect(row.brokers >= row.replicationFactor, "\(row.name)")
            let modes = Set(row.modes ?? ModeVariant.standardNames)
            #expect(Set(row.marks.keys).isSubset(of: modes), "\(row.name)")
        }
        let quick = SuiteRow.table.filter(\.isQuick)
        #expect(!quick.isEmpty)
    }

    private static func result(mode: String = "isr", cpu: [Double], mark: Double) -> SuiteResult {
        var result = SuiteResult(
            row: SuiteRow.table[0], mode: mode, startedAt: "2026-01-01T00:00:00Z", commit: "abc",
            machine: .probe(version: "test", dataDirectory: "/tmp", commandLine: []),
            settings: ["segment.bytes": "1"])
        for value in cpu { result.figures.add(Figure.brokerCPU, value, MachineLimits.cpuUnit) }
        result.repeats = cpu.count
        result.judge([
            .init(Figure.brokerCPU, atMost: mark, unit: MachineLimits.cpuUnit), .init(Figure.clientGap, atMost: 0.05, unit: "s"),
        ])
        return result
    }

    @Test func aMarkIsReachedByTheMedianAndLeftOpenIfNotMeasured() {
        let reached = Self.result(cpu: [0.4, 9, 0.5], mark: 0.5)
        #expect(reached.marks[0].isReached == true && reached.marks[0].measured == 0.5)
        #expect(reached.marks[1].isReached == nil && reached.marks[1].measured == nil)
        #expect(Self.result(cpu: [0.6], mark: 0.5).marks[0].isReached == false)
    }

    @Test func aResultIsOneLineThatReadsBack() throws {
        let result = Self.result(cpu: [0.4, 0.6], mark: 0.5)
        let line = try result.line()
        let ends = line.filter { $0 == UInt8(ascii: "\n") }.count
        #expect(ends == 1 && line.last == UInt8(ascii: "\n"))
        let read = try JSONDecoder().decode(SuiteResult.self, from: line)
        #expect(read == result)
        let fields = try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
        let cpu = try #require((fields["figures"] as? [String: [String: Any]])?[Figure.brokerCPU])
        #expect(cpu["median"] as? Double == 0.5 && cpu["min"] as? Double == 0.4 && cpu["max"] as? Double == 0.6)
        let text = String(decoding: line, as: UTF8.self)
        #expect(text.contains(#""measured":null"#))
    }

    @Test func theTableSaysMediansMarksAndWhatIsMissing() throws {
        var missing = Self.result(mode: "shared", cpu: [], mark: 1)
        missing.notMeasured["run 1"] = "no broker"
        var loaded = Self.result(cpu: [0.4, 0.6, 0.5], mark: 0.45)
        loaded.figures.add(Figure.throughput, 500, "MB/s")
        let text = SuiteTable([loaded, missing]).text
        let lines = text.split(separator: "\n").map(String.init)
        let isr = try #require(lines.first { $0.hasPrefix("  isr") })
        #expect(isr.contains("500") && isr.contains("0.50 (0.40..0.60)") && isr.contains("0.45 ✗"))
        #expect(text.contains("longest gap between acks: not measured, to be at most 50.0 ms"))
        #expect(text.contains("shared, run 1: no broker"))
        let widest = lines.map(\.count).max() ?? 0
        #expect(widest <= 130)
    }
}
