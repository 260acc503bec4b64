//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel

/// Idempotent producers (KIP-98).
extension LogEngineConformance {
    static var producerCases: [ConformanceCase] {
        [
            ConformanceCase("a repeated batch is answered with its first offsets and not written again") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 4, using: &generator), to: log)
                let batch = try Sent.batch(records: 3, producer: Producer(id: 7), using: &generator)
                let first = try await bench.append(batch, to: log)
                try await bench.append(try Sent.batch(records: 2, using: &generator), to: log)
                let again = try await bench.append(batch, to: log)
                try demandEqual(again.range, first.range, "range of the repetition")
                try demand(again.isDuplicate && !first.isDuplicate, "the repetition is marked, the first is not")
                try demandEqual(log.offsets.logEnd, Offset(9), "log end")
                try demandEqual(try await bench.readAll(log).count, 3, "batches stored")
            },
            ConformanceCase("five batches of a producer are remembered, also when others write between") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                var producers = [Producer(id: 1), Producer(id: 2, epoch: 3)]
                var sent: [[(batch: RecordBatches, range: Range<Offset>)]] = [[], []]
                for _ in 0..<7 {
                    for index in producers.indices {
                        let records = 1 + Int(generator.next() % 5)
                        let batch = try Sent.batch(records: records, producer: producers[index], using: &generator)
                        sent[index].append((batch, try await bench.append(batch, to: log).range))
                        producers[index].sequence += Int32(records)
                    }
                }
                let logEnd = log.offsets.logEnd
                for index in producers.indices {
                    for (batch, range) in sent[index].suffix(5).shuffled(using: &generator) {
                        let again = try await bench.append(batch, to: log)
                        try demandEqual(again.range, range, "range of a repetition by producer \(index)")
                        try demand(again.isDuplicate, "a repetition is marked")
                    }
                    try await demandRefusal(.outOfOrderSequence, .duplicateSequence, of: "a repetition of the sixth last batch") {
                        try await bench.append(sent[index][1].batch, to: log)
                    }
                }
                try demandEqual(log.offsets.logEnd, logEnd, "log end after repetitions")
            },
            ConformanceCase("a gap in the sequence is refused, and the missing batch then accepted") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 2, producer: Producer(id: 5), using: &generator), to: log)
                let ahead = try Sent.batch(producer: Producer(id: 5, sequence: 3), using: &generator)
                try await demandRefusal(.outOfOrderSequence, of: "sequence 3 after 1") { try await bench.append(ahead, to: log) }
                try demandEqual(log.offsets.logEnd, Offset(2), "log end after the refusal")
                try await bench.append(try Sent.batch(producer: Producer(id: 5, sequence: 2), using: &generator), to: log)
                try await bench.append(ahead, to: log)
                try demandEqual(log.offsets.logEnd, Offset(4), "log end")
            },
            ConformanceCase("an older producer epoch is refused, a newer one begins at zero") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 2, producer: Producer(id: 5, epoch: 1), using: &generator), to: log)
                try await demandRefusal(.invalidProducerEpoch, of: "epoch 0 after 1") {
                    try await bench.append(try Sent.batch(producer: Producer(id: 5, sequence: 2), using: &generator), to: log)
                }
                try await demandRefusal(.outOfOrderSequence, of: "a new epoch that begins at 2") {
                    try await bench.append(
                        try Sent.batch(producer: Producer(id: 5, epoch: 2, sequence: 2), using: &generator), to: log)
                }
                try await bench.append(try Sent.batch(producer: Producer(id: 5, epoch: 2), using: &generator), to: log)
                try await demandRefusal(.invalidProducerEpoch, of: "the epoch that was replaced") {
                    try await bench.append(
                        try Sent.batch(producer: Producer(id: 5, epoch: 1, sequence: 2), using: &generator), to: log)
                }
                try demandEqual(log.offsets.logEnd, Offset(3), "log end")
            },
            ConformanceCase("sequences go on from the greatest to zero") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                let last = Producer(id: 5, sequence: .max - 1)
                try await bench.append(try Sent.batch(records: 2, producer: last, using: &generator), to: log)
                let wrapped = try Sent.batch(records: 2, producer: Producer(id: 5), using: &generator)
                try demandEqual(try await bench.append(wrapped, to: log).range, Offset(2)..<Offset(4), "range after the wrap")
                try demand(try await bench.append(wrapped, to: log).isDuplicate, "a repetition after the wrap is known")
            },
        ]
            + [ConformanceBench.Ending.shutdown, .kill].map { ending in
                ConformanceCase("producers are known after a restart (\(ending))") { bench in
                    var generator = SplitMix(seed: bench.seed)
                    var log = try await bench.open()
                    var sent: [(batch: RecordBatches, range: Range<Offset>)] = []
                    for number in 0..<6 {
                        let producer = Producer(id: 9, epoch: 2, sequence: Int32(number * 2))
                        let batch = try Sent.batch(records: 2, producer: producer, using: &generator)
                        sent.append((batch, try await bench.append(batch, to: log).range))
                        if number == 3 { try await log.roll() }
                    }
                    try await bench.restart(after: ending)
                    log = try await bench.open(epoch: 2)
                    // Kafka's snapshot holds the last batch of each producer only, so no more is promised.
                    let again = try await bench.append(sent[5].batch, to: log)
                    try demandEqual(again.range, sent[5].range, "range of a repetition after the restart")
                    try demand(again.isDuplicate, "a repetition after the restart is marked")
                    try await demandRefusal(.outOfOrderSequence, of: "a gap after the restart") {
                        try await bench.append(
                            try Sent.batch(producer: Producer(id: 9, epoch: 2, sequence: 14), using: &generator), to: log)
                    }
                    try await demandRefusal(.invalidProducerEpoch, of: "an older producer epoch after the restart") {
                        try await bench.append(
                            try Sent.batch(producer: Producer(id: 9, epoch: 1, sequence: 12), using: &generator), to: log)
                    }
                    try await bench.append(
                        try Sent.batch(producer: Producer(id: 9, epoch: 2, sequence: 12), using: &generator), to: log)
                    try demandEqual(log.offsets.logEnd, Offset(13), "log end")
                }
            }
    }
}
