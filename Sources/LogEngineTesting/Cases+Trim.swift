//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel

extension LogEngineConformance {
    static var trimCases: [ConformanceCase] {
        [
            ConformanceCase("deleted records cannot be read, and the rest stays") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for _ in 0..<6 { try await bench.append(try Sent.batch(records: 5, using: &generator), to: log) }
                let all = try await bench.readAll(log)
                try demandEqual(try await log.deleteRecords(before: Offset(12)), Offset(12), "log start after deleting below 12")
                try demandEqual(log.offsets.logStart, Offset(12), "log start")
                try await demandRefusal(.offsetOutOfRange, of: "a read below the log start") {
                    try await bench.read(log, from: Offset(11))
                }
                try demand(try await bench.readAll(log, from: Offset(12)) == Array(all[2...]), "from the batch that holds 12 on")
                try demandEqual(try await log.deleteRecords(before: Offset(3)), Offset(12), "log start after deleting below less")
                let next = try await bench.append(try Sent.batch(using: &generator), to: log)
                try demandEqual(next.logStart, Offset(12), "log start in a receipt")
                try demandEqual(next.range, Offset(30)..<Offset(31), "offsets go on")
            },
            ConformanceCase("a log may be deleted up to its end and goes on there") { bench in
                var generator = SplitMix(seed: bench.seed)
                var log = try await bench.open()
                for _ in 0..<3 { try await bench.append(try Sent.batch(records: 5, using: &generator), to: log) }
                try demandEqual(try await log.deleteRecords(before: Offset(15)), Offset(15), "log start after deleting all")
                try demand(try await bench.read(log, from: Offset(15)).isEmpty, "nothing is left")
                try demand(try await log.offset(forTimestamp: Timestamp(0)) == nil, "no record at any time")
                try await bench.restart(after: .shutdown)
                log = try await bench.open(epoch: 2)
                try demandEqual(log.offsets.logStart, Offset(15), "log start after a restart")
                try demandEqual(log.offsets.logEnd, Offset(15), "log end after a restart")
                try demandEqual(
                    try await bench.append(try Sent.batch(using: &generator), to: log).range, Offset(15)..<Offset(16),
                    "offsets go on")
            },
            ConformanceCase("records above the high watermark are not deleted") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 5, using: &generator), to: log)
                do {
                    let start = try await log.deleteRecords(before: Offset(6))
                    try demandEqual(start, Offset(5), "log start, where a deletion beyond the high watermark is cut to it")
                } catch let error as LogError {
                    try demandEqual(error.code, .offsetOutOfRange, "refusal of a deletion beyond the high watermark")
                    try demandEqual(log.offsets.logStart, .zero, "log start after the refusal")
                }
                try demandEqual(log.offsets.logEnd, Offset(5), "log end")
            },
            ConformanceCase("a deleted partition leaves nothing behind") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                let other = try await bench.open(1)
                for log in [log, other] { try await bench.append(try Sent.batch(records: 3, using: &generator), to: log) }
                try await bench.engine.delete(bench.partition(), ownsSharedData: true)
                try demand(bench.engine.log(for: bench.partition()) == nil, "a deleted partition has no log")
                try await bench.restart(after: .shutdown)
                let again = try await bench.open(epoch: 2)
                try demandEqual(again.offsets.logEnd, .zero, "log end of a partition made anew")
                try demandEqual(
                    try await bench.open(1, epoch: 2, LogConfiguration.suite).offsets.logEnd, Offset(3), "log end of its neighbour")
            },
        ]
            + [ConformanceBench.Ending.shutdown, .kill].map { ending in
                ConformanceCase("a raised log start survives a restart (\(ending))") { bench in
                    var generator = SplitMix(seed: bench.seed)
                    var log = try await bench.open()
                    for _ in 0..<4 { try await bench.append(try Sent.batch(records: 5, using: &generator), to: log) }
                    _ = try await log.deleteRecords(before: Offset(7))
                    try await bench.restart(after: ending)
                    log = try await bench.open(epoch: 2)
                    try demandEqual(log.offsets.logStart, Offset(7), "log start after the restart")
                    try await demandRefusal(.offsetOutOfRange, of: "a read below it") { try await bench.read(log, from: Offset(6)) }
                    try demandEqual(try await bench.readAll(log).count, 3, "batches left")
                }
            }
    }
}
