//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore

/// Takes a fuzzer's bytes apart. Whatever is missing reads as zero or as nothing, so that any bytes are some input.
struct FuzzInput {
    private var rest: UnsafeRawBufferPointer.SubSequence

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func short() -> Int { Int(byte()) << 8 | Int(byte()) }

    mutating func bytes(_ count: Int) -> ByteBuffer {
        defer { rest = rest.dropFirst(count) }
        return ByteBuffer(bytes: rest.prefix(count))
    }

    /// All that is left.
    mutating func remainder() -> ByteBuffer { bytes(rest.count) }
}
