//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// Reads the primitives of the Kafka protocol from one frame.
public struct WireReader: Sendable {
    public var buffer: ByteBuffer
    public init(_ buffer: ByteBuffer) { self.buffer = buffer }
}
