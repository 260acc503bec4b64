//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Fuzzing
import SimulationKit
import Testing

/// Every decoder over the kept corpus and a counted number of mutations of it; for hours of it there is `Scripts/fuzz.sh`.
@Suite struct FuzzTargetTests {
    /// Per target and seed.
    private static let mutations = Mutator.count(1_500)

    @Test(arguments: FuzzTarget.allCases)
    func theCorpusBreaksNoProperty(_ target: FuzzTarget) throws {
        let corpus = try Corpus.read(target.rawValue)
        #expect(!corpus.isEmpty)
        for input in corpus {
            do throws(FuzzFinding) { try run(target, input.bytes) } catch {
                Issue.record("\(target.rawValue)/\(input.name): \(error)")
            }
        }
    }

    @Test(arguments: FuzzTarget.allCases, Seeds.walked(1...2))
    func mutationsBreakNoProperty(_ target: FuzzTarget, _ seed: UInt64) throws {
        let mutator = Mutator(seed: seed, corpus: try Corpus.read(target.rawValue).map(\.bytes))
        for number in 0..<Self.mutations {
            let bytes = mutator.next()
            // Of a long run the input at hand: one that traps ends the process, and tells nobody more.
            if Mutator.isLongRun { try Data(bytes).write(to: Self.kept(target, "\(seed)-last")) }
            do throws(FuzzFinding) { try run(target, bytes) } catch {
                // Kept, so that it can be looked at and, once mended, join the corpus.
                let kept = Self.kept(target, "\(seed)-\(number)")
                try Data(bytes).write(to: kept)
                Issue.record("\(kept.path), NINEFOLD_SEED=\(seed), mutation \(number): \(error)")
                return
            }
        }
    }

    private static func kept(_ target: FuzzTarget, _ name: String) -> URL {
        FileManager.default.temporaryDirectory.appendingPathComponent("\(target.rawValue)-\(name)")
    }

    private func run(_ target: FuzzTarget, _ bytes: [UInt8]) throws(FuzzFinding) {
        var finding: FuzzFinding?
        bytes.withUnsafeBytes { bytes in do throws(FuzzFinding) { try target.run(bytes) } catch { finding = error } }
        if let finding { throw finding }
    }
}
