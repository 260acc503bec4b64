//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// The appends of one object of the object WAL, placed.
struct WALObjectGroup {
    let number: Int64
    let appends: [PlacedAppend]
    let lastSequence: UInt64
    let bodyBytes: Int
    /// Of the whole object.
    let objectBytes: Int64
    let header: WALObjectHeader

    /// Bodies below this are copied next to their headers.
    private static let copyBelow = 4096

    init(_ number: Int64, _ appends: [WALAppend], lastSequence: UInt64, broker: BrokerID, epoch: BrokerEpoch) {
        self.number = number
        self.lastSequence = lastSequence
        var offset = WALObjectHeader.size
        self.appends = appends.map { append in
            defer { offset += Int(WALRecordHeader.span(ofBody: append.body.readableBytes)) }
            return PlacedAppend(
                append: append, position: WALObjectHeader.position(ofObject: number, at: offset))
        }
        bodyBytes = appends.reduce(0) { $0 + $1.body.readableBytes }
        objectBytes = Int64(offset)
        header = WALObjectHeader(
            kind: .group, brokerID: broker, epoch: epoch, number: number, records: appends.count,
            recordsLength: objectBytes - Int64(WALObjectHeader.size))
    }

    /// The object's bytes.
    func encode() -> [ByteBuffer] {
        var buffers: [ByteBuffer] = []
        var scratch = header.encode()
        for (index, placed) in appends.enumerated() {
            let append = placed.append
            let record = WALRecordHeader(
                kind: .batches, isLastOfGroup: index == appends.count - 1, position: placed.position,
                groupPosition: WALObjectHeader.position(ofObject: number, at: 0), epoch: header.epoch, stream: append.stream,
                leaderEpoch: append.leaderEpoch, offsets: append.offsets, bodyLength: append.body.readableBytes)
            record.write(into: &scratch, body: append.body)
            if append.body.readableBytes < Self.copyBelow {
                scratch.writeImmutableBuffer(append.body)
            } else {
                buffers.append(scratch)
                buffers.append(append.body)
                scratch = ByteBuffer()
            }
            scratch.writeRepeatingByte(0, count: Int(record.span) - WALRecordHeader.size - append.body.readableBytes)
        }
        if scratch.readableBytes > 0 { buffers.append(scratch) }
        return buffers
    }

    /// What `object` holds, whole and in order.
    ///
    /// - Returns: nil at the first byte that is not as it was written.
    static func decode(_ object: ByteBuffer, header: WALObjectHeader) -> [WALReader.Record]? {
        let group = WALObjectHeader.position(ofObject: header.number, at: 0)
        guard Int64(object.readableBytes) == Int64(WALObjectHeader.size) + header.recordsLength else { return nil }
        var records: [WALReader.Record] = []
        records.reserveCapacity(min(header.records, 1 << 16))
        var offset = WALObjectHeader.size
        while offset < object.readableBytes {
            guard let head = object.getSlice(at: object.readerIndex + offset, length: WALRecordHeader.size),
                let record = WALRecordHeader(parsing: head), record.kind == .batches, record.epoch == header.epoch,
                record.position == WALObjectHeader.position(ofObject: header.number, at: offset), record.groupPosition == group,
                let body = object.getSlice(
                    at: object.readerIndex + offset + WALRecordHeader.size, length: record.bodyLength),
                WALRecordHeader.checksumHolds(header: head, body: body)
            else { return nil }
            records.append(WALReader.Record(header: record, body: body))
            offset += Int(record.span)
        }
        guard offset == object.readableBytes, records.count == header.records else { return nil }
        return records
    }
}
