//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import Testing

/// Batches that span far more offsets than they hold records, as compaction leaves them: AutoMQ lost data to a 4-byte delta here (#3339).
@Suite struct SparseOffsetTests {
    /// Offsets of one batch: the most that a batch can span.
    private static let span = Int64(Int32.max)

    private func sparse(_ value: Int) throws -> RecordBatches {
        var bytes = numbers(from: value).buffer
        bytes.setInteger(Int32.max - 1, at: bytes.readerIndex + 23)
        let start = bytes.readerIndex
        bytes.setInteger(CRC32C.extend(0, with: bytes, at: start + 21, length: bytes.readableBytes - 21), at: start + 17)
        return try RecordBatches(verifying: bytes)
    }

    private func values(_ log: any PartitionLog, from offset: Offset) async throws -> [Int] {
        try await log.read(from: offset).map { try #require(Int(String(buffer: $0.value!))) }
    }

    @Test(arguments: [false, true]) func offsetsBeyond32BitsOutliveUploadsCompactionsAndRecovery(walsInObjects: Bool) async throws {
        let world = World(walsInObjects: walsInObjects)
        var settings = SharedStorageSettings.small
        settings.logCacheBytes = 0
        settings.blockBytes = 200
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        let other = try await world.open(engine, 1, leader: 1, epoch: 1)
        for value in 0..<12 {
            let range = try await log.write(try sparse(value))
            #expect(
                range.lowerBound == Offset(Int64(value) * Self.span) && range.upperBound == Offset(Int64(value + 1) * Self.span))
            try await other.write(numbers(from: value))
            if value % 3 == 2 { try await engine.uploadAll() }
        }
        // Stream-set pieces become stream objects, and those of one class one.
        try await engine.settle()
        for value in 0..<12 {
            // From the gap too: the batch that holds the offset comes.
            for offset in [Int64(value) * Self.span, Int64(value) * Self.span + 5, Int64(value + 1) * Self.span - 1] {
                #expect(try await values(log, from: Offset(offset)).first == value)
            }
        }
        #expect(try await values(log, from: .zero) == Array(0..<12))
        for value in 12..<15 { try await log.write(try sparse(value)) }
        world.kill(engine, broker: 1)

        let next = try await world.started(1, epoch: 2, settings: settings)
        let reopened = try await world.open(next, leader: 1, epoch: 2)
        #expect(reopened.offsets.logEnd == Offset(15 * Self.span))
        try await next.settle()
        #expect(try await values(reopened, from: .zero) == Array(0..<15))
        #expect(try await reopened.deleteRecords(before: Offset(7 * Self.span + 9)) == Offset(7 * Self.span + 9))
        #expect(try await values(reopened, from: Offset(7 * Self.span + 9)) == Array(7..<15))
        #expect(try await world.audit(grace: .seconds(4_000_000_000)).findings.isEmpty)
        await next.shutdown()
    }
}
