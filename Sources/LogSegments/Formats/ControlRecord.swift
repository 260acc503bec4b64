//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
package import NIOCore

/// The one record of a control batch: how a transaction ended (KIP-98).
///
/// ```
/// key:   int16 version 0 | int16 type (0 abort, 1 commit, others are not transactions')
/// value: int16 version 0 | int32 coordinator epoch
/// ```
package struct ControlRecord: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case abort
        case commit
        case other(Int16)
    }

    package var kind: Kind
    package var coordinatorEpoch: Int32

    /// - Parameter batch: A whole control batch, uncompressed as all of them are.
    /// - Returns: nil if its first record is none.
    package init?(batch: ByteBuffer) {
        var bytes = batch
        guard bytes.readSlice(length: RecordBatchHeader.size) != nil, bytes.readVarint() != nil,
            bytes.readInteger(as: Int8.self) != nil,
            bytes.readVarint() != nil, bytes.readVarint() != nil, let keyLength = bytes.readVarint(), keyLength >= 4,
            keyLength <= bytes.readableBytes, var key = bytes.readSlice(length: Int(keyLength)),
            let (_, type) = key.readMultipleIntegers(as: (Int16, Int16).self)
        else { return nil }
        kind = type == 0 ? .abort : type == 1 ? .commit : .other(type)
        coordinatorEpoch = -1
        if let valueLength = bytes.readVarint(), valueLength >= 6, valueLength <= bytes.readableBytes,
            let (_, epoch) = bytes.readMultipleIntegers(as: (Int16, Int32).self)
        {
            coordinatorEpoch = epoch
        }
    }
}
