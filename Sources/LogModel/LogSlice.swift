//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// Keeps a file open while a slice of it is on its way to a socket. Deleting the file's name does not disturb it.
public protocol OpenFile: AnyObject, Sendable {
    /// A descriptor that `sendfile` can read from, valid while this object lives; nil where there is none (a simulated disk).
    var descriptor: CInt? { get }
    /// Reads exactly `length` bytes from `offset` of the file. Blocks; call it off the event loops.
    func readBytes(at offset: Int64, length: Int) throws -> ByteBuffer
}

/// A stretch of a log's bytes, in memory or in a file, handed on without a copy.
///
/// Two file slices are equal if they name the same bytes of the same open file; contents are not read.
public enum LogSlice: Sendable, Equatable {
    case bytes(ByteBuffer)
    /// `length` bytes of `file` from `offset`.
    case file(any OpenFile, offset: Int64, length: Int)

    public var sizeInBytes: Int {
        switch self {
        case .bytes(let buffer): buffer.readableBytes
        case .file(_, _, let length): length
        }
    }

    public static func == (left: LogSlice, right: LogSlice) -> Bool {
        switch (left, right) {
        case (.bytes(let left), .bytes(let right)): left == right
        case (.file(let left, let leftOffset, let leftLength), .file(let right, let rightOffset, let rightLength)):
            left === right && leftOffset == rightOffset && leftLength == rightLength
        default: false
        }
    }
}

/// The `records` field of the Kafka protocol: slices back to back.
public struct LogSlices: Sendable, Equatable {
    public var slices: [LogSlice]

    public init(_ slices: [LogSlice] = []) { self.slices = slices }
    public init(_ buffer: ByteBuffer) { self.slices = buffer.readableBytes == 0 ? [] : [.bytes(buffer)] }

    public var sizeInBytes: Int { slices.reduce(0) { $0 + $1.sizeInBytes } }
    public var isEmpty: Bool { slices.isEmpty }

    /// All bytes in one buffer. Copies unless there is a single slice in memory; blocks if a slice lies in a file.
    public func contiguous() throws -> ByteBuffer {
        if slices.count == 1, case .bytes(let buffer) = slices[0] { return buffer }
        var whole = ByteBuffer()
        whole.reserveCapacity(sizeInBytes)
        for slice in slices {
            switch slice {
            case .bytes(let buffer): whole.writeImmutableBuffer(buffer)
            case .file(let file, let offset, let length):
                whole.writeImmutableBuffer(try file.readBytes(at: offset, length: length))
            }
        }
        return whole
    }
}
