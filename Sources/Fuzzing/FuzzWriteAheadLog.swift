//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import SharedStorage
internal import SimulationKit

/// A write-ahead log of any bytes is read to the end of its longest whole beginning, or refused as damaged; twice the same.
///
/// ```
/// u8 mode: 1 checksums are put right, 2 the header is the input's too
/// u8 capacity in pages | u8 trim position in pages | [56 bytes header] | sections: u16 ring offset / 8, u16 length, bytes
/// ```
func fuzzWriteAheadLog(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    var input = FuzzInput(bytes)
    let mode = input.byte()
    let page = WALHeader.pageSize
    let capacity = (1 + Int(input.byte()) % 16) * page
    let trim = Int64(input.byte()) * Int64(page)
    var file = WALHeader(
        brokerID: BrokerID(1), epoch: BrokerEpoch(5), capacity: Int64(capacity), trimPosition: trim, sequence: 0, isClean: false
    ).encode()
    file.writeRepeatingByte(0, count: page + capacity)
    if mode & 2 != 0 {
        file.setBuffer(input.bytes(56), at: 0)
        if mode & 1 != 0 { Repair.checksum(&file, at: 52, of: 0, length: 52) }
    }
    while !input.isEmpty {
        let (at, length) = (input.short() * 8 % capacity, input.short())
        let content = input.bytes(min(length, capacity - at))
        file.setBuffer(content, at: Int(WALHeader.ringStart) + at)
    }
    if mode & 1 != 0 { repairRecords(&file) }
    let disk = SimulatedDisk(seed: 0)
    do { try disk.replaceFile("wal", with: file) } catch { throw FuzzFinding("the simulated disk failed: \(error)") }
    let once = try readThrough(disk, ringBytes: file.readableBytes)
    try demand(try readThrough(disk, ringBytes: file.readableBytes) == once, "a second reading finds other records")
}

private struct Found: Equatable {
    var headers: [WALRecordHeader] = []
    var refusal: LogError.Code?
}

private func readThrough(_ disk: SimulatedDisk, ringBytes: Int) throws(FuzzFinding) -> Found {
    var found = Found()
    var bodyBytes = 0
    do throws(LogError) {
        guard let header = try WriteAheadLog.readHeader(disk: disk, path: "wal") else { return found }
        let reader = try WALReader(disk: disk, path: "wal", header: header)
        defer { reader.close() }
        while true {
            let records = try reader.nextRecords(bytesMax: 1_000)
            guard !records.isEmpty else { return found }
            for record in records {
                bodyBytes += record.body.readableBytes
                if let last = found.headers.last, last.position >= record.header.position {
                    throw LogError(.invalidRecord, "position \(record.header.position) follows \(last.position)")
                }
                if bodyBytes > ringBytes { throw LogError(.invalidRecord, "more bytes are read than the file holds") }
                found.headers.append(record.header)
            }
        }
    } catch {
        guard error.code == .corruptLog else { throw FuzzFinding("reading failed: \(error)") }
        found.refusal = error.code
        return found
    }
}

/// Sets the checksum of whatever looks like a record.
private func repairRecords(_ file: inout ByteBuffer) {
    var at = Int(WALHeader.ringStart)
    while at + WALRecordHeader.size <= file.writerIndex {
        defer { at += 8 }
        guard file.getInteger(at: at, as: UInt32.self) == 0x4E57_414C, let length = file.getInteger(at: at + 72, as: UInt32.self),
            at + WALRecordHeader.size + Int(length) <= file.writerIndex
        else { continue }
        var crc = CRC32C.extend(0, with: file, at: at, length: 76)
        crc = CRC32C.extend(crc, with: file, at: at + WALRecordHeader.size, length: Int(length))
        file.setInteger(crc, at: at + 76)
    }
}
