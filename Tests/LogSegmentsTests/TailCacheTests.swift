//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

@Suite struct TailCacheTests {
    private static func log(_ tail: TailCache, segmentBytes: Int64 = 1 << 20) throws -> (SegmentedLog, SimulatedDisk) {
        let disk = SimulatedDisk(seed: 1)
        try disk.makeDirectory("t-0")
        var settings = SegmentSettings()
        settings.segmentBytes = segmentBytes
        let log = try SegmentedLog.open(disk: disk, directory: "t-0", settings: settings, opening: LogOpening(), tail: tail).log
        return (log, disk)
    }

    private static func batch(bytes: Int) throws -> RecordBatches {
        try RecordBatches(
            verifying: RecordBatchBuilder.batch(of: [
                Record(timestamp: Timestamp(1), key: nil, value: ByteBuffer(repeating: 7, count: bytes))
            ]))
    }

    private static func read(_ log: SegmentedLog, from offset: Int64, maxBytes: Int = 1 << 20) throws -> LogSlices {
        try #require(
            try log.read(from: Offset(offset), to: log.logEnd, maxBytes: maxBytes, minOneBatch: true, mayRead: true))
    }

    private static func isInMemory(_ slices: LogSlices) -> Bool {
        slices.slices.allSatisfy { if case .bytes = $0 { true } else { false } }
    }

    private static func append(_ log: SegmentedLog, _ count: Int, bytes: Int) throws {
        for _ in 0..<count {
            let (written, failure) = log.append([
                AppendChunk(try batch(bytes: bytes), baseOffset: log.logEnd, epoch: LeaderEpoch(3), logAppendTime: nil)
            ])
            try #require(written == 1 && failure == nil)
        }
    }

    @Test(arguments: [10, 5_000])
    func whatWasJustWrittenIsReadFromMemoryByteForByte(_ bytes: Int) throws {
        let tail = TailCache(bytesMax: 1 << 20)
        let (log, disk) = try Self.log(tail)
        try Self.append(log, 20, bytes: bytes)
        let file = try disk.readFile("t-0/00000000000000000000.log")
        for from in [Int64(0), 7, 19] {
            let slices = try Self.read(log, from: from)
            #expect(Self.isInMemory(slices))
            let contiguous = try slices.contiguous()
            #expect(contiguous == file.getSlice(at: file.writerIndex - contiguous.readableBytes, length: contiguous.readableBytes))
        }
        #expect(tail.bytes >= 20 * bytes)
    }

    @Test func beyondItsLimitTheOldestAreReadFromTheFile() throws {
        let tail = TailCache(bytesMax: 1 << 20, logBytesMax: 20_000)
        let (log, _) = try Self.log(tail)
        try Self.append(log, 30, bytes: 2_000)
        #expect(tail.bytes <= 20_000)
        #expect(!Self.isInMemory(try Self.read(log, from: 0)))
        #expect(Self.isInMemory(try Self.read(log, from: 28)))
        let whole = try RecordBatches(verifying: try Self.read(log, from: 0).contiguous())
        #expect(whole.entries.map(\.header.baseOffset) == (0..<30).map { Offset($0) })
    }

    @Test func logsShareTheLimitOfAllOfThem() throws {
        let tail = TailCache(bytesMax: 30_000, logBytesMax: 30_000)
        let logs = try (0..<3).map { _ in try Self.log(tail).0 }
        for log in logs { try Self.append(log, 10, bytes: 2_000) }
        #expect(tail.bytes <= 30_000)
        for log in logs { #expect(try RecordBatches(verifying: try Self.read(log, from: 0).contiguous()).entries.count == 10) }
    }

    @Test func whatIsCutRolledOrLeftAloneIsLetGo() throws {
        let tail = TailCache(bytesMax: 1 << 20)
        let (log, _) = try Self.log(tail, segmentBytes: 20_000)
        try Self.append(log, 5, bytes: 2_000)
        try log.truncate(to: Offset(3))
        #expect(tail.bytes == 0)
        try Self.append(log, 4, bytes: 2_000)
        #expect(Self.isInMemory(try Self.read(log, from: 3)))
        #expect(!Self.isInMemory(try Self.read(log, from: 2)))
        try log.roll()
        #expect(tail.bytes == 0)
        try Self.append(log, 2, bytes: 2_000)
        log.letGoOfUnused()
        #expect(tail.bytes > 0)
        log.letGoOfUnused()
        #expect(tail.bytes == 0)
        #expect(!Self.isInMemory(try Self.read(log, from: log.logEnd.rawValue - 1)))
    }

    @Test func aFollowersCopyIsNotKept() throws {
        let tail = TailCache(bytesMax: 1 << 20)
        let (log, _) = try Self.log(tail)
        let (written, _) = log.append([AppendChunk(asGiven: try Self.batch(bytes: 100))])
        #expect(written == 1 && tail.bytes == 0)
    }
}
