//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore

extension LogEngineConformance {
    static var readCases: [ConformanceCase] {
        [
            ConformanceCase("a read from inside a batch returns the whole batch") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for _ in 0..<4 { try await bench.append(try Sent.batch(records: 5, using: &generator), to: log) }
                let all = try await bench.readAll(log)
                for offset in 0..<20 {
                    let read = try await bench.read(log, from: Offset(Int64(offset)))
                    try demand(read == Array(all[(offset / 5)...]), "from offset \(offset), batches \(offset / 5) and later")
                }
            },
            ConformanceCase("the byte limit holds, but for a first batch that must come whole") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                for _ in 0..<6 { try await bench.append(try Sent.batch(records: 2, valueSize: 500, using: &generator), to: log) }
                let size = try await bench.readAll(log)[0].bytes.readableBytes
                func bytes(_ maxBytes: Int, minOneBatch: Bool) async throws -> Int {
                    try await log.read(
                        from: .zero, maxBytes: maxBytes, minOneBatch: minOneBatch, bound: .highWatermark, reader: .consumer,
                        currentLeaderEpoch: nil
                    ).records.sizeInBytes
                }
                for maxBytes in [0, 1, 100, size - 1] {
                    try demandEqual(
                        try await bytes(maxBytes, minOneBatch: true), size, "bytes at limit \(maxBytes), one batch at least")
                    let bounded = try await bytes(maxBytes, minOneBatch: false)
                    try demand(bounded <= maxBytes, "\(bounded) bytes at limit \(maxBytes)")
                }
                for maxBytes in [size, size + 1, 3 * size, 4 * size + size / 2] {
                    let read = try await bytes(maxBytes, minOneBatch: true)
                    try demand(read <= maxBytes && read >= size, "\(read) bytes at limit \(maxBytes), batches of \(size)")
                    let whole = try await bench.read(log, from: .zero, maxBytes: maxBytes).count
                    try demand(whole >= 1 && whole <= maxBytes / size, "\(whole) whole batches at limit \(maxBytes)")
                }
            },
            ConformanceCase("a read at the end is empty, outside it is out of range") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 3, using: &generator), to: log)
                for bound in [ReadBound.highWatermark, .lastStableOffset, .logEnd] {
                    try demand(
                        try await bench.read(log, from: Offset(3), bound: bound).isEmpty, "a read at the end is empty (\(bound))")
                    try await demandRefusal(.offsetOutOfRange, of: "a read beyond the end (\(bound))") {
                        try await bench.read(log, from: Offset(4), bound: bound)
                    }
                    try await demandRefusal(.offsetOutOfRange, of: "a read below the start (\(bound))") {
                        try await bench.read(log, from: Offset(-1), bound: bound)
                    }
                }
            },
            ConformanceCase("every read tells the offsets it was answered by") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 3, using: &generator), to: log)
                let result = try await log.read(
                    from: .zero, maxBytes: 1 << 20, minOneBatch: true, bound: .logEnd, reader: .consumer, currentLeaderEpoch: nil)
                try demandEqual(result.offsets.logStart, .zero, "log start")
                try demandEqual(result.offsets.logEnd, Offset(3), "log end")
                try demand(result.offsets.highWatermark <= result.offsets.logEnd, "high watermark <= log end")
                try demand(result.offsets.lastStable <= result.offsets.highWatermark, "last stable <= high watermark")
                try demand(result.abortedTransactions.isEmpty, "no transaction was aborted")
            },
            ConformanceCase("a log of many segments reads as it was written, whatever the limits") { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.segmentBytes = 8_192
                configuration.indexIntervalBytes = 256
                let log = try await bench.open(0, configuration)
                var sent: [ByteBuffer] = []
                for index in 0..<150 {
                    let records = 1 + Int(generator.next() % 9)
                    sent.append(
                        Sent.bytes(
                            records: records, valueSize: Int(generator.next() % 400), time: Int64(index) * 10, using: &generator))
                    let receipt = try log.append(try RecordBatches(verifying: sent.last!), acks: .all, epoch: nil)
                    if index % 10 == 9 { try await bench.acknowledged(receipt) }
                    if index % 40 == 20 { try await log.roll() }
                }
                try await log.flush()
                try await bench.eventually("all is below the high watermark") { log.offsets.highWatermark == log.offsets.logEnd }
                var expected: UInt32 = 0
                for buffer in sent { expected = buffer.withUnsafeReadableBytes { CRC32C.extend(expected, with: $0) } }
                for pass in 0..<3 {
                    if pass == 2 { try await bench.engine.settle() }
                    var checksum: UInt32 = 0
                    let stored = try await bench.readAll(log, maxBytes: { 1 + Int(generator.next() % 6_000) })
                    for batch in stored { checksum = batch.asSent.withUnsafeReadableBytes { CRC32C.extend(checksum, with: $0) } }
                    try demandEqual(stored.count, sent.count, "batches read")
                    try demandEqual(checksum, expected, "CRC-32C of all that was read")
                }
            },
        ]
    }
}
