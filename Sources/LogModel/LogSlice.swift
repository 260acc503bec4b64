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
public struct LogSlices: Sendable, Equatable, RandomAccessCollection {
    /// A single slice, as a produced partition has, needs no array. `several` never holds fewer than two, so that equal slices are
    /// held alike.
    private enum Storage: Sendable, Equatable {
        case none
        case one(LogSlice)
        case several([LogSlice])
    }

    private var storage: Storage

    public init(_ slices: [LogSlice] = []) {
        switch slices.count {
        case 0: storage = .none
        case 1: storage = .one(slices[0])
        default: storage = .several(slices)
        }
    }

    public init(_ slice: LogSlice) { storage = .one(slice) }
    public init(_ buffer: ByteBuffer) { storage = buffer.readableBytes == 0 ? .none : .one(.bytes(buffer)) }

    public var startIndex: Int { 0 }
    public var endIndex: Int {
        switch storage {
        case .none: 0
        case .one: 1
        case .several(let slices): slices.count
        }
    }

    public subscript(index: Int) -> LogSlice {
        switch storage {
        case .none: preconditionFailure("there is no slice \(index), for there is none")
        case .one(let slice):
            precondition(index == 0, "there is no slice \(index), for there is one")
            return slice
        case .several(let slices): return slices[index]
        }
    }

    /// As an array, made for the call where there is but one.
    public var slices: [LogSlice] {
        get {
            switch storage {
            case .none: []
            case .one(let slice): [slice]
            case .several(let slices): slices
            }
        }
        set { self = LogSlices(newValue) }
    }

    public var sizeInBytes: Int { reduce(0) { $0 + $1.sizeInBytes } }

    /// All bytes in one buffer. Copies unless there is a single slice in memory; blocks if a slice lies in a file.
    public func contiguous() throws -> ByteBuffer {
        if case .one(.bytes(let buffer)) = storage { return buffer }
        var whole = ByteBuffer(roomFor: sizeInBytes)
        for slice in self {
            switch slice {
            case .bytes(let buffer): whole.writeImmutableBuffer(buffer)
            case .file(let file, let offset, let length):
                whole.writeImmutableBuffer(try file.readBytes(at: offset, length: length))
            }
        }
        return whole
    }
}
