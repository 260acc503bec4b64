//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
package import RuntimeEnvironment

/// Walks the batches of a `.log` file header by header, reading as little as it can. Does not check CRCs.
package struct BatchCursor: ~Copyable {
    private let file: any DiskFile
    /// Exclusive; what lies after it is not looked at.
    private let end: Int64
    private var window = ByteBuffer()
    private var windowStart: Int64 = 0
    private let windowSize: Int64
    /// Of the batch that ``next()`` will return.
    package private(set) var position: Int64

    package init(_ file: any DiskFile, from position: Int64, to end: Int64, windowSize: Int64 = 4096) {
        self.file = file
        self.position = position
        self.end = end
        self.windowSize = windowSize
    }

    /// - Returns: The next batch's header and position; nil at the end, or where no whole batch follows.
    /// - Throws: SegmentError/corrupt(_:) where the bytes are no batch header.
    package mutating func next() throws(SegmentError) -> (header: RecordBatchHeader, position: Int64)? {
        guard position + Int64(RecordBatchHeader.size) <= end else { return nil }
        if position < windowStart || position + Int64(RecordBatchHeader.size) > windowStart + Int64(window.readableBytes) {
            let length = Int(min(windowSize, end - position))
            window = try onDisk { () throws(DiskError) in try file.readBytes(at: position, length: length) }
            windowStart = position
        }
        let header: RecordBatchHeader
        do {
            header = try RecordBatchHeader(in: window, at: window.readerIndex + Int(position - windowStart))
        } catch {
            throw .corrupt("\(file.path): no record batch at byte \(position): \(error)")
        }
        guard position + Int64(header.sizeInBytes) <= end, header.lastOffsetDelta >= 0 else { return nil }
        guard header.baseOffset >= .zero, header.baseOffset <= .largest else {
            throw .corrupt("\(file.path): no record batch at byte \(position): offset \(header.baseOffset)")
        }
        defer { position += Int64(header.sizeInBytes) }
        return (header, position)
    }
}
