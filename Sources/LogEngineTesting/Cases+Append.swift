//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore

extension LogEngineConformance {
    static var appendCases: [ConformanceCase] {
        [
            ConformanceCase("an empty log answers with zeros and nothing") { bench in
                let log = try await bench.open()
                let offsets = log.offsets
                for (name, offset) in [
                    ("log start", offsets.logStart), ("local start", offsets.localStart), ("high watermark", offsets.highWatermark),
                    ("last stable", offsets.lastStable), ("log end", offsets.logEnd),
                ] { try demandEqual(offset, .zero, "\(name) of an empty log") }
                try demand(try await bench.read(log, from: .zero).isEmpty, "an empty log reads as empty")
                try demand(try await log.offsetOfMaxTimestamp() == nil, "an empty log has no highest timestamp")
                try demand(try await log.offset(forTimestamp: Timestamp(0)) == nil, "an empty log has no record at a time")
                try demandEqual(log.sizeInBytes, 0, "bytes of an empty log")
                try demandEqual(log.offsetLag, 0, "a leader's lag")
                try await log.flush()
                try await log.roll()
                try demandEqual(log.offsets.logEnd, .zero, "log end after rolling an empty log")
            },
            ConformanceCase("appends get dense offsets from zero") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                var next = Offset.zero
                for records in [1, 5, 2, 100, 1] {
                    let receipt = try await bench.append(try Sent.batch(records: records, using: &generator), to: log)
                    try demandEqual(receipt.range, next..<(next + Int64(records)), "range of \(records) records")
                    try demand(!receipt.isDuplicate, "a first append is no duplicate")
                    try demandEqual(receipt.logStart, .zero, "log start in the receipt")
                    try demandEqual(receipt.logAppendTime, .none, "log append time where the producer's time is kept")
                    next = receipt.range.upperBound
                    try demandEqual(log.offsets.logEnd, next, "log end after the append")
                }
                try await bench.eventually("the high watermark reaches the log end") { log.offsets.highWatermark == next }
                try demandEqual(log.offsets.lastStable, next, "last stable offset without transactions")
            },
            ConformanceCase("several batches of one append lie back to back in one range") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 3, using: &generator), to: log)
                var buffer = ByteBuffer()
                for records in [2, 1, 4] { buffer.writeImmutableBuffer(Sent.bytes(records: records, using: &generator)) }
                let receipt = try await bench.append(try RecordBatches(verifying: buffer), to: log)
                try demandEqual(receipt.range, Offset(3)..<Offset(10), "range of three batches")
                let stored = try await bench.readAll(log, from: Offset(3))
                try demandEqual(stored.map(\.header.baseOffset), [Offset(3), Offset(5), Offset(6)], "base offsets")
            },
            ConformanceCase("what is stored is what was sent, compressed or not") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                var sent: [ByteBuffer] = []
                for codec in CompressionCodec.allCases {
                    for records in [1, 7] {
                        sent.append(Sent.bytes(records: records, valueSize: 300, codec: codec, using: &generator))
                        try await bench.append(try RecordBatches(verifying: sent.last!), to: log)
                    }
                }
                let stored = try await bench.readAll(log)
                try demand(stored.map(\.asSent) == sent, "only base offset and leader epoch change")
            },
            ConformanceCase("order is kept over many appends in flight") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                var receipts: [AppendReceipt] = []
                var sent: [ByteBuffer] = []
                for _ in 0..<200 {
                    sent.append(Sent.bytes(records: 1 + Int(generator.next() % 4), valueSize: 100, using: &generator))
                    receipts.append(try log.append(try RecordBatches(verifying: sent.last!), acks: .all, epoch: nil))
                }
                for (one, next) in zip(receipts, receipts.dropFirst()) {
                    try demandEqual(next.range.lowerBound, one.range.upperBound, "an append begins where the one before it ended")
                }
                for receipt in receipts { try await bench.acknowledged(receipt) }
                try demand(try await bench.readAll(log).map(\.asSent) == sent, "batches lie in the order of their appends")
            },
            ConformanceCase("a batch over the limit is refused and leaves nothing") { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.maxMessageBytes = 1_000
                let log = try await bench.open(1, configuration)
                try await demandRefusal(.recordTooLarge, of: "a batch of more than max.message.bytes") {
                    try await bench.append(try Sent.batch(valueSize: 1_200, using: &generator), to: log)
                }
                try demandEqual(log.offsets.logEnd, .zero, "log end after the refusal")
                try await bench.append(try Sent.batch(valueSize: 800, using: &generator), to: log)
            },
            ConformanceCase("partitions do not touch each other") { bench in
                var generator = SplitMix(seed: bench.seed)
                var sent: [[ByteBuffer]] = [[], [], []]
                for _ in 0..<5 {
                    for number in 0..<3 {
                        sent[number].append(Sent.bytes(records: number + 1, using: &generator))
                        let log = try await bench.open(Int32(number))
                        try await bench.append(try RecordBatches(verifying: sent[number].last!), to: log)
                    }
                }
                for number in 0..<3 {
                    let log = try unwrap(bench.engine.log(for: bench.partition(Int32(number))), "an opened log is found")
                    try demandEqual(log.partition, bench.partition(Int32(number)), "the log's partition")
                    try demand(
                        try await bench.readAll(log).map(\.asSent) == sent[number], "partition \(number) holds its own batches")
                }
                try demandEqual(Set(bench.engine.logs.map(\.partition.partition)), [0, 1, 2], "the logs held")
                try demand(bench.engine.log(for: bench.partition(9)) == nil, "a partition never assigned has no log")
            },
        ]
    }
}
