//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// A `.log` file, open as long as anybody holds it: the segment, or a slice of it on its way to a socket.
final class SegmentFile: OpenFile {
    let file: any DiskFile
    let isWritable: Bool

    init(_ file: any DiskFile, isWritable: Bool) {
        self.file = file
        self.isWritable = isWritable
    }

    deinit { file.close() }

    var descriptor: CInt? { file.descriptor }
    func readBytes(at offset: Int64, length: Int) throws -> ByteBuffer { try file.readBytes(at: offset, length: length) }
}
