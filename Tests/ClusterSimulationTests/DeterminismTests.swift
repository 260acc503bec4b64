//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterSimulation
import SimulationKit
import Testing

@Suite(.enabled(if: !SeedWalk.isChild)) struct DeterminismTests {
    @Test(arguments: StorageMode.allCases)
    func aSeedRunsTheSameTwiceInOneProcessAndInTwo(_ mode: StorageMode) throws {
        let seeds = Seeds.walked(1...3)
        let twice = seeds.flatMap { [$0, $0] }
        let first = try SeedWalk.run(mode, twice)
        let second = try SeedWalk.run(mode, seeds)
        #expect(first.count == twice.count)
        for (index, result) in second.enumerated() {
            #expect(result == first[2 * index], "seed \(result.seed) in another process")
            #expect(first[2 * index + 1] == first[2 * index], "seed \(result.seed) again in the same process")
        }
        #expect(Set(second.map(\.digest)).count == seeds.count, "different seeds are different runs")
    }

    @Test(arguments: StorageMode.allCases)
    func withoutFaultsAllIsWell(_ mode: StorageMode) throws {
        let results = try SeedWalk.run(mode, Array(1...20), mix: [])
        #expect(results.count == 20)
        #expect(results.last?.failure == nil)
    }
}
