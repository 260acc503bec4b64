//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RecordCompression

/// Verified batches lie within the buffer and keep their bytes; their records are read or refused, and build a batch that reads
/// as the same.
///
/// The first byte says whether lengths and checksums are put right first, without which nothing would get beyond them.
func fuzzRecordBatches(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    guard let mode = bytes.first else { return }
    var buffer = ByteBuffer(bytes: bytes.dropFirst())
    if mode & 1 != 0 { Repair.recordBatches(&buffer) }
    guard var batches = try? RecordBatches(verifying: buffer, allowsPartialTail: mode & 2 != 0) else { return }
    var position = 0
    for entry in batches.entries {
        try demand(entry.position == position, "batches do not follow each other at \(position)")
        position += entry.header.sizeInBytes
        try demandRecordsRoundTrip(batches, entry)
    }
    try demand(position == batches.sizeInBytes && position <= buffer.readableBytes, "batches end at \(position)")
    try demand(mode & 2 != 0 || position == buffer.readableBytes, "bytes after the last batch were let pass")
    guard !batches.isEmpty else { return }
    let range = batches.assign(
        baseOffset: Offset(1_000), epoch: LeaderEpoch(3), logAppendTime: mode & 4 != 0 ? Timestamp(1_767_225_600_000) : nil)
    try demand(range.upperBound - range.lowerBound == batches.offsetCount, "\(range) were assigned to \(batches.offsetCount)")
    guard let again = try? RecordBatches(verifying: batches.buffer) else {
        throw FuzzFinding("batches cannot be verified once offsets are assigned")
    }
    try demand(again.entries == batches.entries, "batches read otherwise once offsets are assigned")
}

private func demandRecordsRoundTrip(_ batches: RecordBatches, _ entry: RecordBatches.Entry) throws(FuzzFinding) {
    guard let records = try? batches.records(of: entry, decompressingAtMost: 1 << 18), let first = records.first else { return }
    let header = entry.header
    try demand(
        records.allSatisfy { (0...Int64(header.lastOffsetDelta)).contains($0.offset.rawValue &- header.baseOffset.rawValue) },
        "a record lies outside its batch's offsets")
    let keyBytes = records.reduce(0) { $0 + ($1.key?.readableBytes ?? 0) + ($1.value?.readableBytes ?? 0) }
    let bytesMax = header.codec == CompressionCodec.none ? header.sizeInBytes : 1 << 18
    try demand(keyBytes <= bytesMax, "records hold more bytes than their batch")
    // Distances beyond 64 bits have no varint; the builder is given no such times.
    guard records.allSatisfy({ !$0.timestamp.rawValue.subtractingReportingOverflow(first.timestamp.rawValue).overflow }) else {
        return
    }
    let built = RecordBatchBuilder.batch(of: records)
    guard let again = try? RecordBatches(verifying: built), again.entries.count == 1,
        let reread = try? again.records(of: again.entries[0])
    else { throw FuzzFinding("records that were read build a batch that cannot be") }
    try demand(
        reread.map(\.timestamp) == records.map(\.timestamp) && reread.map(\.key) == records.map(\.key)
            && reread.map(\.value) == records.map(\.value) && reread.map(\.headers) == records.map(\.headers),
        "records do not come back from the batch they build")
}
