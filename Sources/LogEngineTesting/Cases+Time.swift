//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import RuntimeEnvironment

extension LogEngineConformance {
    static var timeCases: [ConformanceCase] {
        [
            ConformanceCase("a client's times may lie as far apart as 64 bits go") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for time in [Int64.min, 1_767_225_600_000, Int64.max, -2, 0, Int64.min + 7, Int64.max] {
                    try await bench.append(try Sent.batch(time: time, using: &generator), to: log)
                }
                try await bench.eventually("the high watermark reaches the log end") { log.offsets.highWatermark == Offset(7) }
                try demandEqual(try await bench.readAll(log).map(\.header.baseOffset.rawValue), Array(0..<7), "base offsets")
                try demandEqual(try await log.offset(forTimestamp: Timestamp(.max))?.offset, Offset(2), "the latest time's offset")
                try await log.roll()
                try await log.flush()
            },
            ConformanceCase("a time leads to the first record at or after it") { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.segmentBytes = 4_096
                configuration.indexIntervalBytes = 256
                let log = try await bench.open(0, configuration)
                // Batch n holds offsets 5n ..< 5n+5 at times 1000(n+1) ..< 1000(n+1)+5.
                for index in 0..<20 {
                    try await bench.append(
                        try Sent.batch(records: 5, valueSize: 150, time: Int64(index + 1) * 1_000, using: &generator), to: log)
                }
                for (time, offset, found) in [
                    (Int64(0), Int64(0), Int64(1_000)), (1_000, 0, 1_000), (1_001, 1, 1_001), (1_004, 4, 1_004), (1_005, 5, 2_000),
                    (10_500, 50, 11_000), (20_003, 98, 20_003), (20_004, 99, 20_004),
                ] {
                    try demandEqual(
                        try await log.offset(forTimestamp: Timestamp(time)),
                        TimestampedOffset(offset: Offset(offset), timestamp: Timestamp(found), leaderEpoch: LeaderEpoch(1)),
                        "first record at or after \(time)")
                }
                try demand(try await log.offset(forTimestamp: Timestamp(20_005)) == nil, "no record after the last")
                try demandEqual(try await log.offsetOfMaxTimestamp()?.offset, Offset(99), "record with the highest timestamp")
            },
            ConformanceCase("the highest timestamp is found where it lies, not at the end") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for time in [Int64(5_000), 90_000, 7_000] {
                    try await bench.append(try Sent.batch(records: 2, time: time, using: &generator), to: log)
                }
                try demandEqual(
                    try await log.offsetOfMaxTimestamp(),
                    TimestampedOffset(offset: Offset(3), timestamp: Timestamp(90_001), leaderEpoch: LeaderEpoch(1)),
                    "record with the highest timestamp")
                try demandEqual(
                    try await log.offset(forTimestamp: Timestamp(6_000))?.offset, Offset(2),
                    "first record at or after 6000, by offset")
            },
            ConformanceCase("log append time is stamped into batch and receipt") { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.stampsLogAppendTime = true
                let log = try await bench.open(0, configuration)
                let before = Timestamp(bench.subject.environment.clock.wallMilliseconds())
                let receipt = try await bench.append(try Sent.batch(records: 2, time: 17, using: &generator), to: log)
                let after = Timestamp(bench.subject.environment.clock.wallMilliseconds())
                try demand(
                    before <= receipt.logAppendTime && receipt.logAppendTime <= after, "the receipt tells when it was appended")
                let header = try unwrap(try await bench.readAll(log).first, "the batch is read").header
                try demand(header.usesLogAppendTime, "the batch says that its time is the broker's")
                try demandEqual(header.maxTimestamp, receipt.logAppendTime, "max timestamp of the batch")
            },
        ]
    }
}
