//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import MicroBenchmarks
import Testing

/// The counter counts what is called, no more and no less.
@Suite struct CallCounterTests {
    @Test func allocationsAreTracedToTheirPlaces() throws {
        let counts = try benchmark("batches.verify.16").count(on: .simulatedDisk)
        let sites = try benchmark("batches.verify.16").traceAllocations(on: .simulatedDisk)
        guard let allocations = counts[.allocations], let bytes = counts[.allocatedBytes] else {
            // Without glibc, or under a sanitizer.
            #expect(sites.isEmpty && counts[.allocatedBytes] == nil)
            return
        }
        #expect(allocations > 0)
        #expect(sites.reduce(0) { $0 + $1.allocations } == allocations)
        #expect(sites.reduce(0) { $0 + $1.bytes } == bytes)
        #expect(sites.allSatisfy { $0.frames.count > 2 && $0.frames.allSatisfy { !$0.file.isEmpty } })
    }

    @Test func whatAllocatesNothingIsCountedAsZeroNotAsUnmeasured() throws {
        let counts = try benchmark("epochs.end.100").count(on: .simulatedDisk)
        let measured = try benchmark("batches.verify.1").count(on: .simulatedDisk)[.allocations] != nil
        #expect(counts[.allocations] == (measured ? 0 : nil))
        #expect(counts[.diskWrites] == nil, "it has no disk")
    }

    @Test func everyCallOfTheDiskThatIsASystemCallIsSeenAsOne() throws {
        let name = "wal.commit.64"
        let counts = try benchmark(name).count(on: .directory(FileManager.default.temporaryDirectory.path))
        #expect(counts[.diskWrites] == 1 && counts[.diskSyncs] == 1 && counts[.diskOpens] == 0 && counts[.diskReads] == 0)
        #expect(counts[.systemCalls] == (counts[.allocations] == nil ? nil : 2))
        let simulated = try benchmark(name).count(on: .simulatedDisk)
        #expect(simulated[.diskWrites] == 1 && simulated[.diskSyncs] == 1)
        #expect(
            simulated[.systemCalls] == nil && simulated[.allocations] == nil,
            "what a simulated disk does in memory is no cost of a disk")
    }

    private func benchmark(_ name: String) throws -> MicroBenchmark {
        try #require(MicroBenchmark.all.first { $0.name == name })
    }
}
