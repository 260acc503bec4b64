//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel

extension LogEngineConformance {
    static var durabilityCases: [ConformanceCase] {
        [
            ConformanceCase("every level of acknowledgement comes, and what it covers is read") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for acks in [RequiredAcks.none, .leader, .all] {
                    let receipt = try await bench.append(try Sent.batch(records: 2, using: &generator), to: log, acks: acks)
                    try await log.flush()
                    try await bench.eventually("the records are below the high watermark (\(acks))") {
                        log.offsets.highWatermark >= receipt.range.upperBound
                    }
                    let read = try await bench.read(log, from: receipt.range.lowerBound)
                    try demandEqual(read.first?.header.endOffset, receipt.range.upperBound, "end of what was read (\(acks))")
                }
            },
            ConformanceCase("what all replicas acknowledged is below the high watermark at once") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for _ in 0..<50 {
                    let receipt = try await bench.append(try Sent.batch(using: &generator), to: log, acks: .all)
                    try demand(log.offsets.highWatermark >= receipt.range.upperBound, "acknowledged by all is visible to consumers")
                }
            },
            ConformanceCase(
                "acks all is refused below the minimum of in-sync replicas, and leaves nothing", if: \.enforcesMinInSyncReplicas
            ) { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.minInSyncReplicas = 2
                // Two replicas, of which the other is out of sync: with one replica alone, one in sync would be all there are.
                var assignment = bench.assignment(replicas: [bench.subject.brokerID, BrokerID(99)])
                assignment.inSyncReplicas = [bench.subject.brokerID]
                let log = try unwrap(
                    try await bench.engine.apply(assignment, configuration: configuration), "a leader has a log")
                try await demandRefusal(.notEnoughReplicas, of: "acks all with one replica of two") {
                    try await bench.append(try Sent.batch(using: &generator), to: log, acks: .all)
                }
                try demandEqual(log.offsets.logEnd, .zero, "log end after the refusal")
                try await bench.append(try Sent.batch(using: &generator), to: log, acks: .leader)
            },
            ConformanceCase("the progress listener hears of appends") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                let heard = Latest()
                log.setProgressListener { heard.note($0.offsets.highWatermark) }
                for _ in 0..<5 { try await bench.append(try Sent.batch(records: 2, using: &generator), to: log) }
                try await bench.eventually("the listener hears of the last high watermark") { heard.highWatermark == Offset(10) }
                let second = Latest()
                log.setProgressListener { second.note($0.offsets.highWatermark) }
                try await bench.append(try Sent.batch(using: &generator), to: log)
                try await bench.eventually("a listener set later hears instead") { second.highWatermark == Offset(11) }
                log.setProgressListener(nil)
                try await bench.append(try Sent.batch(using: &generator), to: log)
            },
        ]
    }
}
