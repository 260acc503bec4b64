//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterSimulation
import Testing

/// What the simulation found, each with a seed that showed it. Code that has changed since may run such a seed otherwise; what can be
/// said smaller is also a test of the module that owned the mistake.
@Suite(.enabled(if: !SeedWalk.isChild)) struct RegressionTests {
    struct Finding: Sendable, CustomStringConvertible {
        var description: String
        var mode: StorageMode
        var seeds: [UInt64]
    }

    static let findings = [
        Finding(description: "a stalled leader answers nobody once its lease has ended", mode: .isr, seeds: [1251]),
        Finding(
            description: "a power cut leaves the directory of a synced write-ahead log", mode: .shared, seeds: [17, 27, 34, 39]),
        Finding(
            description: "what was deleted while a tiered broker was down leaves its volume", mode: .tiered, seeds: [7, 24, 140]),
        Finding(
            description: "what was moved away while a tiered broker was down leaves its volume", mode: .tiered, seeds: [36, 57, 59]),
        Finding(
            description: "a follower is told the log's end while the high watermark waits for it", mode: .tiered, seeds: [149, 195]),
        Finding(description: "a high watermark is never below what the volume has given to the tier", mode: .tiered, seeds: [720]),
        Finding(description: "an object put after the deletion of its topic is found", mode: .tiered, seeds: [1, 10, 13, 35]),
        Finding(description: "an object put after the deletion of the last topic is found too", mode: .tiered, seeds: [211]),
        Finding(description: "a watch that is given up while its store is cut off ends", mode: .shared, seeds: [2545]),
        Finding(
            description: "a damaged base offset is damage, though it lies above the high watermark", mode: .tiered, seeds: [2353]),
        Finding(
            description: "a start during which one read failed removes no partition", mode: .tiered, seeds: [2598]),
        Finding(
            description: "a batch committed while its topic is being deleted leaves nothing behind", mode: .shared, seeds: [173]),
        Finding(description: "a move that ends while its broker stops does not open its stream again", mode: .shared, seeds: [44]),
        Finding(description: "an assignment that is late does not make a deleted log anew", mode: .tiered, seeds: [768]),
        Finding(description: "a lost log start is not taken to lie above what the tier holds", mode: .tiered, seeds: [549]),
    ]

    @Test(arguments: findings)
    func staysMended(_ finding: Finding) throws {
        let results = try SeedWalk.run(finding.mode, finding.seeds)
        #expect(results.count == finding.seeds.count)
        if let last = results.last, let failure = last.failure {
            Issue.record("\(finding), seed \(last.seed): \(failure)\nTo repeat it: \(SeedWalk.command(finding.mode, last.seed))")
        }
    }
}
