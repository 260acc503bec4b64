//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import SharedStorage

/// An object's index and blocks decode or are refused. What decodes is sorted, finds each of its own blocks, and every block
/// holds no more than its bytes.
///
/// The first byte says whether checksums are put right first; the rest is the object.
func fuzzObjects(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    var input = FuzzInput(bytes)
    let mode = input.byte()
    var object = input.remainder()
    let footer = object.writerIndex - ObjectFormat.footerSize
    guard footer >= 0, let indexPosition = object.getInteger(at: footer, as: Int64.self), indexPosition >= 0,
        indexPosition <= Int64(footer)
    else {
        _ = try? ObjectIndex.decode(indexAndFooter: object, indexPosition: 0)
        return
    }
    if mode & 1 != 0 { repair(&object, indexPosition: Int(indexPosition), footer: footer) }
    let tail = object.getSlice(at: Int(indexPosition), length: object.writerIndex - Int(indexPosition)) ?? ByteBuffer()
    guard let index = try? ObjectIndex.decode(indexAndFooter: tail, indexPosition: indexPosition) else { return }
    try demand(index.entries.count * ObjectFormat.indexEntrySize <= tail.readableBytes, "the index has more entries than bytes")
    for entry in index.entries {
        try demand(
            index.entries(of: entry.stream, from: entry.start).first == entry, "\(entry.start) of \(entry.stream) is not found")
        guard let bytes = object.getSlice(at: Int(entry.position), length: Int(entry.length)) else {
            throw FuzzFinding("a block lies outside the object: \(entry.position), \(entry.length) bytes")
        }
        guard let block = try? DataBlock(decoding: bytes, entry: entry) else { continue }
        try demand(block.data.readableBytes < Int(entry.length), "a block holds more than its bytes")
        _ = try? RecordBatches(verifying: block.data)
    }
}

private func repair(_ object: inout ByteBuffer, indexPosition: Int, footer: Int) {
    object.setInteger(Int64(footer - indexPosition), at: footer + 8)
    var entry = indexPosition
    while entry + ObjectFormat.indexEntrySize <= footer {
        if let position = object.getInteger(at: entry + 48, as: Int64.self),
            let length = object.getInteger(at: entry + 56, as: Int64.self),
            position >= 0, length >= Int64(ObjectFormat.blockHeaderSize), position < Int64(object.writerIndex),
            length <= Int64(object.writerIndex) - position
        {
            let (position, length) = (Int(position), Int(length))
            let sum = CRC32C.extend(0, with: object, at: position, length: 52)
            object.setInteger(
                CRC32C.extend(
                    sum, with: object, at: position + ObjectFormat.blockHeaderSize, length: length - ObjectFormat.blockHeaderSize),
                at: position + 52)
        }
        entry += ObjectFormat.indexEntrySize
    }
    Repair.checksum(&object, at: footer + 32, of: indexPosition, length: footer - indexPosition)
    Repair.checksum(&object, at: footer + 36, of: footer, length: 36)
}
