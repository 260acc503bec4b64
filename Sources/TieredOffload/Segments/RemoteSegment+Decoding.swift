//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel

/// Records and manifests come from stores that others can write: what contradicts itself is refused as damaged where it is read.
extension RemoteSegment {
    enum CodingKeys: String, CodingKey {
        case id, state, objectKey, baseOffset, endOffset, maxTimestamp, sizeInBytes, crc32c, broker, leaderEpoch, eventTime, epochs
        case indexes, compression
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        id = try values.decode(String.self, forKey: .id)
        state = try values.decode(State.self, forKey: .state)
        objectKey = try values.decode(String.self, forKey: .objectKey)
        baseOffset = try values.decode(Offset.self, forKey: .baseOffset)
        endOffset = try values.decode(Offset.self, forKey: .endOffset)
        maxTimestamp = try values.decode(Timestamp.self, forKey: .maxTimestamp)
        sizeInBytes = try values.decode(Int64.self, forKey: .sizeInBytes)
        crc32c = try values.decode(UInt32.self, forKey: .crc32c)
        broker = try values.decode(BrokerID.self, forKey: .broker)
        leaderEpoch = try values.decode(LeaderEpoch.self, forKey: .leaderEpoch)
        eventTime = try values.decode(Timestamp.self, forKey: .eventTime)
        epochs = try values.decode([EpochStart].self, forKey: .epochs)
        indexes = try values.decode(IndexLayout.self, forKey: .indexes)
        compression = try values.decodeIfPresent(ChunkCompression.self, forKey: .compression)
        if let compression {
            let chunkBytes = Int64(compression.chunkBytes)
            guard chunkBytes > 0, chunkBytes <= 1 << 30, sizeInBytes >= 0,
                Int64(compression.lengths.count) == sizeInBytes / chunkBytes + (sizeInBytes % chunkBytes > 0 ? 1 : 0),
                compression.lengths.allSatisfy({ $0 > 0 && $0 <= 1 << 31 })
            else {
                throw DecodingError.dataCorruptedError(
                    forKey: .compression, in: values, debugDescription: "chunks that do not make \(sizeInBytes) bytes")
            }
        }
        guard baseOffset >= .zero, baseOffset <= endOffset, sizeInBytes >= 0 else {
            throw DecodingError.dataCorruptedError(
                forKey: .endOffset, in: values, debugDescription: "a segment of \(sizeInBytes) bytes, \(baseOffset) to \(endOffset)"
            )
        }
    }
}

extension IndexLayout.Section {
    enum CodingKeys: String, CodingKey { case start, length, crc32c }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        start = try values.decode(Int64.self, forKey: .start)
        length = try values.decode(Int.self, forKey: .length)
        crc32c = try values.decode(UInt32.self, forKey: .crc32c)
        guard start >= 0, length >= 0, !start.addingReportingOverflow(Int64(length)).overflow else {
            throw DecodingError.dataCorruptedError(
                forKey: .length, in: values, debugDescription: "a section of \(length) bytes at \(start)")
        }
    }
}
