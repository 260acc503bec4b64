//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore

extension LogEngineConformance {
    static var restartCases: [ConformanceCase] {
        ConformanceBench.Ending.allCases.map { ending in
            ConformanceCase(
                "what was acknowledged is there after a restart (\(ending))", if: { ending != .powerCut || $0.survivesPowerCut }
            ) { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.segmentBytes = 16_384
                var sent: [ByteBuffer] = []
                for round in 1...4 {
                    let log = try await bench.open(0, epoch: Int32(round), configuration)
                    try await bench.eventually("all is below the high watermark") {
                        log.offsets.highWatermark == log.offsets.logEnd
                    }
                    try demand(try await bench.readAll(log).map(\.asSent) == sent, "round \(round): what was acknowledged before")
                    for _ in 0..<25 {
                        sent.append(
                            Sent.bytes(
                                records: 1 + Int(generator.next() % 4), valueSize: Int(generator.next() % 600), using: &generator))
                        let receipt = try await bench.append(try RecordBatches(verifying: sent.last!), to: log)
                        try demandEqual(receipt.range.upperBound, log.offsets.logEnd, "the end of the last append")
                    }
                    if round == 2 { try await bench.engine.settle() }
                    try await bench.restart(after: ending)
                }
                let log = try await bench.open(epoch: 9)
                try demand(try await bench.readAll(log, bound: .logEnd).map(\.asSent) == sent, "all that was acknowledged")
            }
        } + [
            ConformanceCase("an engine that was shut down and started twice answers as once") { bench in
                var generator = SplitMix(seed: bench.seed)
                var log = try await bench.open()
                for _ in 0..<10 { try await bench.append(try Sent.batch(records: 3, valueSize: 200, using: &generator), to: log) }
                let stored = try await bench.readAll(log)
                let offsets = log.offsets
                for ending in [ConformanceBench.Ending.kill, .kill, .shutdown, .shutdown] {
                    try await bench.restart(after: ending)
                    // The same epoch as before: nobody else led meanwhile.
                    log = try await bench.open()
                    try demand(try await bench.readAll(log, bound: .logEnd) == stored, "the same bytes")
                    try demandEqual(log.offsets.logStart, offsets.logStart, "log start")
                    try demandEqual(log.offsets.logEnd, offsets.logEnd, "log end")
                }
            }
        ]
    }
}
