//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore

/// Random operations, held against the simplest log there is: an array.
extension LogEngineConformance {
    static var modelCases: [ConformanceCase] {
        (1...3).map { round in
            ConformanceCase("random operations are answered as a plain array answers them (round \(round))") { bench in
                let seed = bench.seed &+ UInt64(round)
                do {
                    var run = try await ModelRun(bench, seed: seed)
                    for _ in 0..<120 { try await run.step() }
                    try await run.compareAll()
                } catch {
                    throw ConformanceFailure("seed \(seed): \(error)")
                }
            }
        }
    }
}

private struct ModelRun {
    private struct Batch {
        var sent: ByteBuffer
        var range: Range<Offset>
        var epoch: LeaderEpoch
    }

    private let bench: ConformanceBench
    private var generator: SplitMix
    private var configuration = LogConfiguration.suite
    private var log: any PartitionLog
    private var epoch: Int32 = 1
    private var batches: [Batch] = []
    private var logStart = Offset.zero
    private var producer = Producer(id: 77)
    private var unacknowledged: [AppendReceipt] = []

    private var logEnd: Offset { batches.last?.range.upperBound ?? .zero }

    init(_ bench: ConformanceBench, seed: UInt64) async throws {
        self.bench = bench
        generator = SplitMix(seed: seed)
        configuration.segmentBytes = 4_096
        configuration.indexIntervalBytes = 128
        log = try await bench.open(0, configuration)
    }

    mutating func step() async throws {
        switch generator.next() % 20 {
        case 0..<9: try append()
        case 9..<14: try await read()
        case 14: try await deleteRecords()
        case 15: try await log.roll()
        case 16: try await log.flush()
        case 17: try await newEpoch()
        case 18: try await restart()
        default: try await bench.engine.settle()
        }
    }

    private mutating func append() throws {
        let records = 1 + Int(generator.next() % 6)
        let isIdempotent = generator.next() % 2 == 0
        let sent = Sent.bytes(
            records: records, valueSize: Int(generator.next() % 300), producer: isIdempotent ? producer : nil, using: &generator)
        let receipt = try log.append(try RecordBatches(verifying: sent), acks: .all, epoch: LeaderEpoch(epoch))
        try demandEqual(receipt.range, logEnd..<(logEnd + Int64(records)), "range of an append")
        batches.append(Batch(sent: sent, range: receipt.range, epoch: LeaderEpoch(epoch)))
        if isIdempotent { producer.sequence += Int32(records) }
        unacknowledged.append(receipt)
    }

    private mutating func acknowledge() async throws {
        for receipt in unacknowledged { try await bench.acknowledged(receipt) }
        unacknowledged = []
    }

    private mutating func read() async throws {
        try await acknowledge()
        let span = UInt64(logEnd - logStart) + 1
        let offset = logStart + Int64(generator.next() % span)
        let maxBytes = Int(generator.next() % 5_000)
        let got = try await bench.read(log, from: offset, maxBytes: maxBytes)
        let expected = batches.filter { $0.range.upperBound > offset }
        try demand(got.count <= expected.count && got.isEmpty == expected.isEmpty, "\(got.count) batches from \(offset)")
        for (got, expected) in zip(got, expected) { try compare(got, expected) }
    }

    private mutating func deleteRecords() async throws {
        try await acknowledge()
        let offset = Offset(Int64(generator.next() % UInt64(logEnd.rawValue + 1)))
        logStart = max(logStart, offset)
        try demandEqual(try await log.deleteRecords(before: offset), logStart, "log start after deleting below \(offset)")
    }

    private mutating func newEpoch() async throws {
        epoch += 1 + Int32(generator.next() % 3)
        log = try await bench.open(0, epoch: epoch, configuration)
    }

    private mutating func restart() async throws {
        try await acknowledge()
        try await bench.restart(after: generator.next() % 2 == 0 ? .shutdown : .kill)
        try await newEpoch()
        try demandEqual(log.offsets.logEnd, logEnd, "log end after a restart")
        try demandEqual(log.offsets.logStart, logStart, "log start after a restart")
    }

    mutating func compareAll() async throws {
        try await acknowledge()
        let expected = batches.filter { $0.range.upperBound > logStart }
        let got = try await bench.readAll(log, bound: .logEnd, maxBytes: { 3_000 })
        try demandEqual(got.count, expected.count, "batches at the end")
        for (got, expected) in zip(got, expected) { try compare(got, expected) }
        for expected in expected where expected.range.lowerBound >= logStart {
            try demandEqual(log.leaderEpoch(at: expected.range.lowerBound), expected.epoch, "epoch at \(expected.range.lowerBound)")
        }
    }

    private func compare(_ got: StoredBatch, _ expected: Batch) throws {
        try demandEqual(got.header.baseOffset..<got.header.endOffset, expected.range, "range of a batch read")
        try demandEqual(got.header.partitionLeaderEpoch, expected.epoch, "epoch of the batch at \(expected.range)")
        try demand(got.asSent == expected.sent, "bytes of the batch at \(expected.range)")
    }
}
