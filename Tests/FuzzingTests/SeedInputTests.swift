//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Testing

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
}
