//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import NIOCore

/// Turns frames into writes: small parts gathered in one buffer, large ones by reference, stretches of files by `sendfile`.
///
/// Writing and flushing may call back into the handler (when the channel becomes writable again), and the handler may then write:
/// whole frames at a time, so that nothing is interleaved.
final class FrameWriter {
    /// Parts up to this size are cheaper to copy than to give an entry of their own in `writev`.
    static let gatheredBytesMax = 1024

    private var gathered = ByteBuffer()
    private var isUnflushed = false

    /// Writes the length of `slices` and them. A slice of a file must have a descriptor.
    func write(_ slices: [LogSlice], to context: ChannelHandlerContext) {
        isUnflushed = true
        gathered.writeInteger(slices.reduce(Int32(0)) { $0 + Int32($1.sizeInBytes) })
        for slice in slices {
            switch slice {
            case .bytes(let bytes) where bytes.readableBytes <= Self.gatheredBytesMax: gathered.writeImmutableBuffer(bytes)
            case .bytes(let bytes):
                passOn(context)
                context.write(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
            case .file(let file, let offset, let length):
                guard length > 0 else { continue }
                guard let descriptor = file.descriptor else {
                    preconditionFailure("a slice without descriptor is read before it is written")
                }
                passOn(context)
                write(file, descriptor, offset: offset, length: length, to: context)
            }
        }
    }

    func flush(_ context: ChannelHandlerContext) {
        guard isUnflushed else { return }
        isUnflushed = false
        passOn(context)
        context.flush()
    }

    /// Calls `body` once everything written has gone to the socket, or never will.
    func whenSent(_ context: ChannelHandlerContext, _ body: @escaping () -> Void) {
        flush(context)
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { _ in body() }
        context.writeAndFlush(NIOAny(IOData.byteBuffer(ByteBuffer())), promise: sent)
    }

    private func passOn(_ context: ChannelHandlerContext) {
        guard gathered.readableBytes > 0 else { return }
        let bytes = gathered
        gathered = ByteBuffer()
        context.write(NIOAny(IOData.byteBuffer(bytes)), promise: nil)
    }

    /// The descriptor stays the file's: the handle is a loan, ended without closing, and the file lives until then.
    private func write(
        _ file: any OpenFile, _ descriptor: CInt, offset: Int64, length: Int, to context: ChannelHandlerContext
    ) {
        // A handle refuses to be used twice at a time, so that each write has one of its own.
        let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: descriptor)
        let region = FileRegion(fileHandle: handle, readerIndex: Int(offset), endIndex: Int(offset) + length)
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.whenComplete { _ in
            _ = try? handle.takeDescriptorOwnership()
            withExtendedLifetime(file) {}
        }
        context.write(NIOAny(IOData.fileRegion(region)), promise: sent)
    }
}

extension ResponseFrame {
    /// Whether a slice lies in a file that `sendfile` cannot read.
    var needsReading: Bool {
        slices.contains { if case .file(let file, _, _) = $0 { file.descriptor == nil } else { false } }
    }

    /// Reads the slices that have no descriptor. Blocks.
    func inMemory() throws -> ResponseFrame {
        ResponseFrame(
            slices: try slices.map { slice in
                guard case .file(let file, let offset, let length) = slice, file.descriptor == nil else { return slice }
                return .bytes(try file.readBytes(at: offset, length: length))
            })
    }
}
