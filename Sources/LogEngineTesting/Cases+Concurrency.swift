//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel

extension LogEngineConformance {
    static var concurrencyCases: [ConformanceCase] {
        [
            ConformanceCase("concurrent appends get disjoint ranges, concurrent readers see prefixes") { bench in
                let log = try await bench.open()
                let writers = 4
                let batchesEach = 60
                let ranges = try await withThrowingTaskGroup(of: [Range<Offset>].self) { group in
                    for writer in 0..<writers {
                        group.addTask {
                            var generator = SplitMix(seed: bench.seed &+ UInt64(writer))
                            var producer = Producer(id: Int64(writer))
                            var ranges: [Range<Offset>] = []
                            for _ in 0..<batchesEach {
                                let records = 1 + Int(generator.next() % 3)
                                let batch = try Sent.batch(records: records, valueSize: 100, producer: producer, using: &generator)
                                ranges.append(try await bench.append(batch, to: log).range)
                                producer.sequence += Int32(records)
                            }
                            return ranges
                        }
                    }
                    for _ in 0..<2 {
                        group.addTask {
                            try await followToBatch(writers * batchesEach, of: log, bench)
                            return []
                        }
                    }
                    var all: [Range<Offset>] = []
                    for try await some in group {
                        for (one, next) in zip(some, some.dropFirst()) {
                            try demand(one.upperBound <= next.lowerBound, "one writer's appends lie in its order")
                        }
                        all += some
                    }
                    return all.sorted { $0.lowerBound < $1.lowerBound }
                }
                try demandEqual(ranges.count, writers * batchesEach, "appends")
                var next = Offset.zero
                for range in ranges {
                    try demandEqual(range.lowerBound, next, "ranges are dense and disjoint")
                    next = range.upperBound
                }
                try demandEqual(log.offsets.logEnd, next, "log end")
                let stored = try await bench.readAll(log)
                try demandEqual(stored.map { $0.header.baseOffset..<$0.header.endOffset }, ranges, "ranges as stored")
            }
        ]
    }

    /// Reads as a consumer does until `count` batches were seen, each beginning where the one before it ended.
    private static func followToBatch(_ count: Int, of log: any PartitionLog, _ bench: ConformanceBench) async throws {
        var next = Offset.zero
        var seen = 0
        while seen < count {
            let batches = try await bench.read(log, from: next, maxBytes: 2_000)
            for batch in batches {
                try demandEqual(batch.header.baseOffset, next, "a reader sees no hole")
                next = batch.header.endOffset
            }
            seen += batches.count
            if batches.isEmpty {
                let end = next
                try await bench.eventually("the high watermark passes \(end)") { log.offsets.highWatermark > end }
            }
        }
    }
}
