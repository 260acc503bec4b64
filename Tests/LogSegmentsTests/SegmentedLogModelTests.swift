//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

/// A log against a plain list of batches, through everything that can happen to it.
@Suite struct SegmentedLogModelTests {
    @Test(arguments: Seeds.walked(1...8))
    func behavesAsAListOfBatches(_ seed: UInt64) throws {
        var walk = try SegmentedLogWalk(seed: seed, mishaps: .processKills)
        try walk.run(steps: 200)
    }

    /// Whatever a power cut leaves of what was not synced, a beginning of the list is there, with at least all that was.
    @Test(arguments: Seeds.walked(1...16))
    func aPowerCutLeavesABeginningWithAllThatWasSynced(_ seed: UInt64) throws {
        var walk = try SegmentedLogWalk(seed: seed, mishaps: .powerCuts)
        try walk.run(steps: 150)
    }

    /// The same, with cuts in the midst of appends, rolls, truncations, removals, syncs, stops and recoveries.
    @Test(arguments: Seeds.walked(1...16))
    func aPowerCutInTheMidstOfACallDoesToo(_ seed: UInt64) throws {
        var walk = try SegmentedLogWalk(seed: seed, mishaps: .powerCutsMidway)
        try walk.run(steps: 150)
    }

    /// Nothing but the seed decides what happens: not the order of a dictionary, not the clock.
    @Test func aSeedRepeatsItsWalk() throws {
        for mishaps in [SegmentedLogWalk.Mishaps.powerCuts, .powerCutsMidway] {
            let traces = try (0..<2).map { _ in
                var walk = try SegmentedLogWalk(seed: 5, mishaps: mishaps)
                try walk.run(steps: 150)
                return walk.trace
            }
            #expect(traces[0] == traces[1])
        }
    }
}
