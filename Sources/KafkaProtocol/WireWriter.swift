//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import NIOCore

/// Writes the primitives of the Kafka protocol. Record slices are kept beside the bytes, not copied into them.
public struct WireWriter: Sendable {
    public var buffer = ByteBuffer()
    public init() {}
}
