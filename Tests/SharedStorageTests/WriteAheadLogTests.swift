//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogEngine
import LogModel
import NIOCore
import RuntimeEnvironment
import SharedStorage
import Synchronization
import Testing

/// A ring in a directory of its own, and what its appends came to.
private final class Ring: WALClient {
    let directory = NSTemporaryDirectory() + "ninefold-wal-\(UUID().uuidString)"
    let disk: PosixDisk
    let log: WriteAheadLog
    let stream = StreamID(topicID: TopicID(high: 1, low: 2), partition: 3)
    let groupMark = WALGroupMark()
    private let durable = Mutex<[Range<Offset>]>([])
    private let failure = Mutex<LogError?>(nil)

    init(capacity: Int64 = 256 << 10, groupBytesMax: Int = 32 << 10) throws {
        disk = PosixDisk(root: directory)
        log = try WriteAheadLog.create(
            disk: disk, path: "wal", brokerID: BrokerID(1), epoch: BrokerEpoch(5), environment: .system,
            settings: Self.settings(capacity, groupBytesMax), leaseHolds: { true }, pressure: {})
    }

    static func settings(_ capacity: Int64, _ groupBytesMax: Int = 32 << 10) -> SharedStorageSettings {
        var settings = SharedStorageSettings()
        settings.walCapacityBytes = capacity
        settings.walGroupBytesMax = groupBytesMax
        return settings
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    var acknowledged: [Range<Offset>] { durable.withLock { $0 } }
    func appendDurable(_ offsets: Range<Offset>, position: Int64) { durable.withLock { $0.append(offsets) } }
    func appendFailed(_ error: LogError) { failure.withLock { $0 = error } }
    func groupEnded() {}

    static func body(_ number: Int64, size: Int) -> ByteBuffer {
        ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: number &* 31 &+ Int64($0)) })
    }

    @discardableResult
    func append(_ number: Int64, size: Int) throws -> UInt64 {
        try log.enqueue(
            WALAppend(
                stream: stream, leaderEpoch: LeaderEpoch(4), offsets: Offset(number)..<Offset(number + 1),
                body: Self.body(number, size: size),
                client: self))
    }

    /// Everything queued is written, or failed.
    func drained() async throws { try await log.onWorker { _ throws(DiskError) in } }

    static func recover(_ disk: any Disk) throws -> [WALReader.Record] {
        guard let header = try WriteAheadLog.readHeader(disk: disk, path: "wal") else { return [] }
        let reader = try WALReader(disk: disk, path: "wal", header: header)
        defer { reader.close() }
        var records: [WALReader.Record] = []
        while true {
            let some = try reader.nextRecords(bytesMax: 50_000)
            if some.isEmpty { return records }
            records += some
        }
    }
}

@Suite struct WriteAheadLogTests {
    @Test func recoveryReadsBackWhatWasAcknowledged() async throws {
        let ring = try Ring()
        for number in 0..<100 { try ring.append(Int64(number), size: Int(number) * 7 % 900) }
        while ring.acknowledged.count < 100 { try await ring.drained() }
        #expect(ring.acknowledged.map(\.lowerBound.rawValue) == Array(0..<100))
        let found = try Ring.recover(ring.disk)
        #expect(found.map(\.header.offsets.lowerBound.rawValue) == Array(0..<100))
        for (number, record) in found.enumerated() {
            #expect(record.body == Ring.body(Int64(number), size: number * 7 % 900))
            #expect(record.header.stream == ring.stream)
            #expect(record.header.leaderEpoch == LeaderEpoch(4))
        }
    }

    @Test func theRingWrapsAndTheFileDoesNotGrow() async throws {
        let ring = try Ring(capacity: 192 << 10)
        let length = try ring.disk.open("wal", .readOnly).size()
        var released: Int64 = 0
        for number in 0..<2_000 {
            let sequence = try ring.append(Int64(number), size: 100 + number * 37 % 3_000)
            if number % 20 == 19 {
                while ring.acknowledged.count <= number { try await ring.drained() }
                // The last ten stay live.
                ring.log.release(before: sequence - 9)
                released = Int64(number) - 9
            }
        }
        while ring.acknowledged.count < 2_000 { try await ring.drained() }
        try await ring.drained()
        #expect(try ring.disk.open("wal", .readOnly).size() == length)
        let found = try Ring.recover(ring.disk)
        // Whole groups are let go, so some older records may still be there; nothing newer is missing, nothing is there twice.
        let first = try #require(found.first?.header.offsets.lowerBound.rawValue)
        #expect(first <= released)
        #expect(found.map(\.header.offsets.lowerBound.rawValue) == Array(first..<2_000))
        for record in found {
            let number = record.header.offsets.lowerBound.rawValue
            #expect(record.body == Ring.body(number, size: 100 + Int(number) * 37 % 3_000))
        }
    }

    /// One group over the ring's end, the record before it ending there to the byte, or up to a padding record short of it.
    @Test(arguments: [0, 8, 72, 80, 88, 4_000])
    func aGroupMayCrossTheRingsEndAnywhere(_ gap: Int) async throws {
        let ring = try Ring(capacity: 64 << 10, groupBytesMax: 32 << 10)
        let body = 8_192 - WALRecordHeader.size
        for number in 0..<6 {
            try ring.append(Int64(number), size: body)
            while ring.acknowledged.count <= number { try await ring.drained() }
        }
        ring.log.release(before: 6)
        try await ring.drained()
        // Held up, so that the next four make one group.
        let go = DispatchSemaphore(value: 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let isHeldUp = Mutex(false)
            group.addTask {
                try await ring.log.onWorker { _ throws(DiskError) in
                    isHeldUp.withLock { $0 = true }
                    go.wait()
                }
            }
            try await eventually("the worker is held up") { isHeldUp.withLock { $0 } }
            try ring.append(6, size: body)
            try ring.append(7, size: body - gap)
            try ring.append(8, size: body)
            try ring.append(9, size: 10)
            go.signal()
            try await group.waitForAll()
        }
        while ring.acknowledged.count < 10 { try await ring.drained() }
        let found = try Ring.recover(ring.disk)
        #expect(found.map(\.header.offsets.lowerBound.rawValue) == [6, 7, 8, 9])
        #expect(found.map(\.body) == [(6, body), (7, body - gap), (8, body), (9, 10)].map { Ring.body($0, size: $1) })
        #expect(Set(found.map(\.header.groupPosition)).count == 1)
        #expect(try ring.disk.open("wal", .readOnly).size() == WALHeader.ringStart + 64 << 10)
    }

    @Test func aFullRingTakesNothingMoreUntilItIsTrimmed() async throws {
        let ring = try Ring(capacity: 64 << 10, groupBytesMax: 8 << 10)
        var last: UInt64 = 0
        for number in 0..<40 { last = try ring.append(Int64(number), size: 4_000) }
        for _ in 0..<50 { try await ring.drained() }
        let count = ring.acknowledged.count
        #expect(count > 5 && count < 17)
        ring.log.release(before: UInt64(count))
        while ring.acknowledged.count == count { try await ring.drained() }
        while ring.acknowledged.count < 40 {
            ring.log.release(before: UInt64(ring.acknowledged.count))
            try await ring.drained()
        }
        #expect(ring.acknowledged.map(\.lowerBound.rawValue) == Array(0..<40))
        #expect(last == 39)
    }

    /// The file cut, zeroed or flipped anywhere in its last group: what is read back is a prefix, with all earlier groups whole.
    @Test func recoveryStopsAtATornLastGroup() async throws {
        let ring = try Ring()
        // Three groups: each waits for the one before.
        var ends: [Int64] = []
        for group in 0..<3 {
            for number in 0..<4 { try ring.append(Int64(group * 4 + number), size: 150 + number * 61) }
            while ring.acknowledged.count < (group + 1) * 4 { try await ring.drained() }
            ends.append(WALHeader.ringStart + ring.log.usage.heldBytes)
        }
        let whole = try Ring.recover(ring.disk)
        try #require(whole.count == 12)
        let lastGroup = whole[11].header.groupPosition
        let firstOfLast = try #require(whole.firstIndex { $0.header.groupPosition == lastGroup })
        let content = try ring.disk.readFile("wal")
        let start = Int(WALHeader.ringStart + lastGroup)
        let end = Int(ends[2])
        // Every byte of the first record's and the last bytes, every seventh between.
        for cut in start..<end where cut < start + 300 || cut > end - 200 || cut % 7 == 0 {
            for damage in 0..<2 {
                var torn = content
                if damage == 0 {
                    torn.setRepeatingByte(0, count: content.writerIndex - cut, at: cut)
                } else {
                    torn.setInteger(torn.getInteger(at: cut, as: UInt8.self)! ^ 0x40, at: cut)
                }
                let memory = OneFileDisk(torn)
                let found = try Ring.recover(memory)
                #expect(found.count >= firstOfLast, "cut at \(cut)")
                #expect(found.map(\.header.offsets) == Array(whole.prefix(found.count).map(\.header.offsets)))
                #expect(found.map(\.body) == Array(whole.prefix(found.count).map(\.body)))
            }
        }
    }

    @Test func damageToASyncedRecordIsToldFromATornTail() async throws {
        let ring = try Ring()
        for number in 0..<6 {
            try ring.append(Int64(number), size: 500)
            while ring.acknowledged.count <= number { try await ring.drained() }
        }
        let whole = try Ring.recover(ring.disk)
        var content = try ring.disk.readFile("wal")
        let at = Int(WALHeader.ringStart + whole[2].header.position) + 300
        content.setInteger(content.getInteger(at: at, as: UInt8.self)! ^ 1, at: at)
        let error = #expect(throws: LogError.self) { try Ring.recover(OneFileDisk(content)) }
        #expect(error?.code == .corruptLog)
        #expect(error?.message.contains("\(WALHeader.ringStart + whole[2].header.position)") == true)
    }

    @Test func oneTornHeaderPageIsSurvivedTwoAreNot() async throws {
        let ring = try Ring()
        for number in 0..<10 {
            let sequence = try ring.append(Int64(number), size: 500)
            while ring.acknowledged.count <= number { try await ring.drained() }
            ring.log.release(before: sequence)
            try await ring.drained()
        }
        let content = try ring.disk.readFile("wal")
        let newest = try #require(try WriteAheadLog.readHeader(disk: ring.disk, path: "wal"))
        var torn = content
        torn.setRepeatingByte(0xAA, count: 1_000, at: newest.sequence % 2 == 0 ? 20 : 4_116)
        let older = try #require(try WriteAheadLog.readHeader(disk: OneFileDisk(torn), path: "wal"))
        #expect(older.sequence == newest.sequence - 1)
        #expect(older.trimPosition <= newest.trimPosition)
        torn.setRepeatingByte(0xAA, count: 8_000, at: 20)
        #expect(throws: LogError.self) { try WriteAheadLog.readHeader(disk: OneFileDisk(torn), path: "wal") }
    }

    /// Over several laps the newer header page is damaged after each trim: what was live then is all there.
    @Test func theNewerHeaderPageMayRotWhateverHasBeenOverwrittenSince() async throws {
        let ring = try Ring(capacity: 64 << 10, groupBytesMax: 8 << 10)
        var released: Int64 = 0
        for number in 0..<120 {
            let sequence = try ring.append(Int64(number), size: 3_000 + number * 37 % 900)
            while ring.acknowledged.count <= number { try await ring.drained() }
            if number % 5 == 4 {
                // The last two stay live.
                ring.log.release(before: sequence - 1)
                released = Int64(number) - 1
                try await ring.drained()
            }
            let newest = try #require(try WriteAheadLog.readHeader(disk: ring.disk, path: "wal"))
            var rotten = try ring.disk.readFile("wal")
            let page = newest.sequence % 2 == 0 ? 0 : WALHeader.pageSize
            rotten.setInteger(rotten.getInteger(at: page + 30, as: UInt8.self)! ^ 2, at: page + 30)
            let found = try Ring.recover(OneFileDisk(rotten)).map(\.header.offsets.lowerBound.rawValue)
            #expect(found.suffix(number + 1 - Int(released)) == Array(released...Int64(number))[...], "after \(number)")
            var told: [Int64] = []
            _ = try WriteAheadLog.readHeader(disk: OneFileDisk(rotten), path: "wal") { told.append($0) }
            #expect(told == [Int64(page)])
        }
    }

    @Test func anEarlierRunsRecordsNeverPassAsNew() async throws {
        let ring = try Ring()
        for number in 0..<30 { try ring.append(Int64(number), size: 600) }
        while ring.acknowledged.count < 30 { try await ring.drained() }
        await ring.log.close()
        let next = try WriteAheadLog.create(
            disk: ring.disk, path: "wal", brokerID: BrokerID(1), epoch: BrokerEpoch(6), environment: .system,
            settings: Ring.settings(256 << 10), leaseHolds: { true }, pressure: {})
        #expect(try Ring.recover(ring.disk).isEmpty)
        try next.enqueue(
            WALAppend(
                stream: ring.stream, leaderEpoch: LeaderEpoch(5), offsets: Offset(700)..<Offset(701),
                body: Ring.body(700, size: 600), client: ring))
        try await next.onWorker { _ throws(DiskError) in }
        #expect(try Ring.recover(ring.disk).map(\.header.offsets.lowerBound) == [Offset(700)])
        await next.close()
    }
}

/// A disk with one file, in memory, read only.
private struct OneFileDisk: Disk {
    let content: ByteBuffer
    init(_ content: ByteBuffer) { self.content = content }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile { MemoryFile(path, content) }
    func exists(_ path: String) throws(DiskError) -> Bool { true }
    var copies: Int { 1 }
    func physicalPaths(_ path: String) -> [String] { [] }
    func makeDirectory(_ path: String) throws(DiskError) { throw readOnly("mkdir", path) }
    func list(_ path: String) throws(DiskError) -> [DiskEntry] { [] }
    func rename(_ source: String, to target: String) throws(DiskError) { throw readOnly("rename", source) }
    func link(_ source: String, to target: String) throws(DiskError) { throw readOnly("link", source) }
    func remove(_ path: String) throws(DiskError) { throw readOnly("unlink", path) }
    func removeTree(_ path: String) throws(DiskError) { throw readOnly("rmdir", path) }
    func synchronizeDirectory(_ path: String) throws(DiskError) {}
    func freeBytes() throws(DiskError) -> Int64 { 0 }
    private func readOnly(_ operation: String, _ path: String) -> DiskError {
        DiskError(code: .permissionDenied, operation: operation, path: path)
    }
}

private final class MemoryFile: DiskFile {
    let path: String
    let content: ByteBuffer
    init(_ path: String, _ content: ByteBuffer) {
        self.path = path
        self.content = content
    }

    var descriptor: CInt? { nil }
    func size() throws(DiskError) -> Int64 { Int64(content.readableBytes) }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        guard Int(offset) + buffer.count <= content.readableBytes else {
            throw DiskError(code: .endOfFile, operation: "pread", path: path)
        }
        content.withUnsafeReadableBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + buffer.count]))
        }
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) { throw readOnly() }
    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) { throw readOnly() }
    func truncate(to length: Int64) throws(DiskError) { throw readOnly() }
    func reserve(_ length: Int64) throws(DiskError) { throw readOnly() }
    func synchronize() throws(DiskError) { throw readOnly() }
    func allocatedBytes() throws(DiskError) -> Int64 { Int64(content.readableBytes) }
    func close() {}
    private func readOnly() -> DiskError { DiskError(code: .permissionDenied, operation: "pwrite", path: path) }
}
