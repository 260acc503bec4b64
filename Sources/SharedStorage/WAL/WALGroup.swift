//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// The appends of one group, placed, and the writes they come to.
struct WALGroup {
    /// What goes to the file in one call.
    struct Extent {
        var fileOffset: Int64
        var buffers: [ByteBuffer]
    }

    let appends: [PlacedAppend]
    let extents: [Extent]

    /// Bodies below this are copied next to their headers, so that a group of many small appends is one buffer and not thousands.
    private static let copyBelow = 4096

    init(appends: [PlacedAppend], paddings: [Range<Int64>], start: Int64, capacity: Int64, epoch: BrokerEpoch) {
        self.appends = appends
        var writer = ExtentWriter(
            capacity: capacity, start: paddings.first.map { min($0.lowerBound, start) } ?? start,
            copiedBytes: appends.reduce(paddings.count * WALRecordHeader.size) { $0 + Self.copiedBytes(of: $1.append.body) },
            copyBelow: Self.copyBelow)
        var paddings = paddings[...]
        for (index, placed) in appends.enumerated() {
            if let padding = paddings.first, placed.position == padding.upperBound {
                paddings.removeFirst()
                writer.pad(padding, groupStart: start, epoch: epoch)
            }
            let append = placed.append
            let header = WALRecordHeader(
                kind: .batches, isLastOfGroup: index == appends.count - 1, position: placed.position, groupPosition: start,
                epoch: epoch,
                stream: append.stream, leaderEpoch: append.leaderEpoch, offsets: append.offsets,
                bodyLength: append.body.readableBytes)
            writer.write(header, body: append.body)
        }
        extents = writer.finish()
    }

    /// What of a record is copied: at most its header and the zeros behind its body where that is written from where it lies.
    private static func copiedBytes(of body: ByteBuffer) -> Int {
        let span = Int(WALRecordHeader.span(ofBody: body.readableBytes))
        return body.readableBytes < copyBelow ? span : span - body.readableBytes
    }

    private struct ExtentWriter {
        private let capacity: Int64
        private let copyBelow: Int
        private var extents: [Extent] = []
        /// Of the extent under way. Empty ones stand for stretches of `scratch`.
        private var buffers: [ByteBuffer] = []
        private var extentStart: Int64
        private var extentLength: Int64 = 0
        /// Headers and small bodies of all extents. Cut at the end: a slice held now would make the next write copy it.
        private var scratch: ByteBuffer
        private var stretches: [(extent: Int, buffer: Int, bytes: Range<Int>)] = []
        private var stretchStart = 0

        init(capacity: Int64, start: Int64, copiedBytes: Int, copyBelow: Int) {
            self.capacity = capacity
            self.copyBelow = copyBelow
            extentStart = start
            scratch = ByteBuffer(roomFor: copiedBytes)
        }

        mutating func pad(_ padding: Range<Int64>, groupStart: Int64, epoch: BrokerEpoch) {
            if padding.count >= WALRecordHeader.size {
                let header = WALRecordHeader(
                    kind: .padding, isLastOfGroup: false, position: padding.lowerBound, groupPosition: groupStart, epoch: epoch,
                    stream: StreamID(topicID: .zero, partition: 0), leaderEpoch: .none, offsets: Offset.zero..<Offset.zero,
                    bodyLength: 0)
                header.write(into: &scratch, body: ByteBuffer())
            }
            endExtent()
            extentStart = padding.upperBound
        }

        mutating func write(_ header: WALRecordHeader, body: ByteBuffer) {
            // The record before may have ended exactly with the lap, and then there was nothing to pad.
            if header.position % capacity == 0, header.position > extentStart {
                endExtent()
                extentStart = header.position
            }
            header.write(into: &scratch, body: body)
            if body.readableBytes < copyBelow {
                scratch.writeImmutableBuffer(body)
            } else {
                endStretch()
                buffers.append(body)
                extentLength += Int64(body.readableBytes)
            }
            let tail = Int(header.span) - WALRecordHeader.size - body.readableBytes
            if tail > 0 { scratch.writeRepeatingByte(0, count: tail) }
        }

        private mutating func endStretch() {
            let bytes = stretchStart..<scratch.writerIndex
            guard !bytes.isEmpty else { return }
            stretches.append((extents.count, buffers.count, bytes))
            buffers.append(ByteBuffer())
            extentLength += Int64(bytes.count)
            stretchStart = bytes.upperBound
        }

        private mutating func endExtent() {
            endStretch()
            guard !buffers.isEmpty else { return }
            precondition(
                extentStart % capacity + extentLength <= capacity,
                "a group's write stays inside the ring: \(extentStart) + \(extentLength) of \(capacity)")
            extents.append(Extent(fileOffset: WALHeader.ringStart + extentStart % capacity, buffers: buffers))
            buffers = []
            extentLength = 0
        }

        mutating func finish() -> [Extent] {
            endExtent()
            for (extent, buffer, bytes) in stretches {
                extents[extent].buffers[buffer] = scratch.getSlice(at: bytes.lowerBound, length: bytes.count)!
            }
            return extents
        }
    }
}
