//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Testing
import TieredOffload

/// The corpus began with what the encoders make; `NINEFOLD_WRITE_CORPUS=1` writes those of them that are missing.
@Suite struct SeedInputTests {
    @Test func theCorpusHoldsWhatTheEncodersMake() async throws {
        let inputs = try await [
            "requests": SeedInputs.requests(), "record-batches": SeedInputs.recordBatches, "segments": SeedInputs.segments(),
            "wal": SeedInputs.writeAheadLogs(), "objects": SeedInputs.objects,
        ]
        let writes = ProcessInfo.processInfo.environment["NINEFOLD_WRITE_CORPUS"] != nil
        for (target, inputs) in inputs {
            let directory = Corpus.root.appendingPathComponent(target)
            if writes { try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true) }
            for (name, bytes) in inputs where writes {
                try Data(bytes).write(to: directory.appendingPathComponent(name))
            }
            let kept = Set(try Corpus.read(target).map(\.name))
            #expect(kept.isSuperset(of: inputs.keys), "\(target): run once with NINEFOLD_WRITE_CORPUS=1")
        }
    }

    /// Those of other makers are no use to a fuzzer either unless they are taken.
    @Test(arguments: try Corpus.read("manifests").map(\.name))
    func theManifestsAreRead(_ name: String) throws {
        let bytes = try #require(try Corpus.read("manifests").first { $0.name == name }).bytes
        _ = try JSONDecoder().decode(SegmentManifest.self, from: Data(bytes))
    }
}
