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

    let appends: [WriteAheadLog.PlacedAppend]
    let extents: [Extent]

    /// Bodies below this are copied next to their headers, so that a group of many small appends is one buffer and not thousands.
    private static let copyBelow = 4096

    init(appends: [WriteAheadLog.PlacedAppend], paddings: [Range<Int64>], start: Int64, capacity: Int64, epoch: BrokerEpoch) {
        self.appends = appends
        var writer = ExtentWriter(capacity: capacity, start: paddings.first.map { min($0.lowerBound, start) } ?? start)
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
            writer.write(header, body: append.body, copyBelow: Self.copyBelow)
        }
        extents = writer.finish()
    }

    private struct ExtentWriter {
        private let capacity: Int64
        private var extents: [Extent] = []
        private var buffers: [ByteBuffer] = []
        private var scratch = ByteBuffer()
        private var extentStart: Int64

        init(capacity: Int64, start: Int64) {
            self.capacity = capacity
            extentStart = start
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

        mutating func write(_ header: WALRecordHeader, body: ByteBuffer, copyBelow: Int) {
            // The record before may have ended exactly with the lap, and then there was nothing to pad.
            if header.position % capacity == 0, header.position > extentStart {
                endExtent()
                extentStart = header.position
            }
            header.write(into: &scratch, body: body)
            if body.readableBytes < copyBelow {
                scratch.writeImmutableBuffer(body)
            } else {
                endScratch()
                buffers.append(body)
            }
            let tail = Int(header.span) - WALRecordHeader.size - body.readableBytes
            if tail > 0 { scratch.writeRepeatingByte(0, count: tail) }
        }

        private mutating func endScratch() {
            guard scratch.readableBytes > 0 else { return }
            buffers.append(scratch)
            scratch = ByteBuffer()
        }

        private mutating func endExtent() {
            endScratch()
            guard !buffers.isEmpty else { return }
            let length = buffers.reduce(0) { $0 + Int64($1.readableBytes) }
            precondition(
                extentStart % capacity + length <= capacity,
                "a group's write stays inside the ring: \(extentStart) + \(length) of \(capacity)")
            extents.append(Extent(fileOffset: WALHeader.ringStart + extentStart % capacity, buffers: buffers))
            buffers = []
        }

        mutating func finish() -> [Extent] {
            endExtent()
            return extents
        }
    }
}
