//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaNetwork
import NIOCore
import Testing

@Suite struct FrameAssemblerTests {
    private static let frameSizes = [0, 1, 4, 100, 3_000, 65_531, 65_532, 65_533, 200_000, 7, 1_000_000, 1_000_000, 5]

    private static func frames(_ sizes: [Int]) -> [ByteBuffer] {
        sizes.enumerated().map { index, size in Pattern.whole.getSlice(at: index * 13, length: size)! }
    }

    private static func wire(_ frames: [ByteBuffer]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for frame in frames {
            bytes.writeInteger(Int32(frame.readableBytes))
            bytes.writeImmutableBuffer(frame)
        }
        return bytes
    }

    /// Feeds `bytes` in pieces of the sizes `next` gives, as a channel would that has its own receive buffers.
    private static func cut(_ bytes: ByteBuffer, pieces next: () -> Int) throws -> [ByteBuffer] {
        var assembler = FrameAssembler(frameBytesMax: 2 << 20)
        var rest = bytes
        var frames: [ByteBuffer] = []
        while rest.readableBytes > 0 {
            assembler.append(rest.readSlice(length: min(next(), rest.readableBytes))!)
            while let frame = try assembler.nextFrame() { frames.append(frame) }
        }
        #expect(assembler.bufferedBytes == 0)
        return frames
    }

    /// Plays the socket: each read goes into the buffer the assembler lends, up to `next` bytes of it.
    private static func receive(_ bytes: ByteBuffer, reads next: () -> Int) throws -> [ByteBuffer] {
        var assembler = FrameAssembler(frameBytesMax: 2 << 20)
        var rest = bytes
        var frames: [ByteBuffer] = []
        while rest.readableBytes > 0 {
            var buffer = assembler.lendReceiveBuffer(allocator: ByteBufferAllocator())
            #expect(buffer.writableBytes > 0)
            var piece = rest.readSlice(length: min(next(), rest.readableBytes, buffer.writableBytes))!
            buffer.writeBuffer(&piece)
            assembler.append(buffer)
            while let frame = try assembler.nextFrame() { frames.append(frame) }
        }
        return frames
    }

    @Test(arguments: [1, 2, 3, 4, 5, 1_000, 65_536, 262_144, 4_000_000])
    func framesComeOutWholeHoweverTheBytesAreCut(pieceBytes: Int) throws {
        let sizes = pieceBytes < 1_000 ? Self.frameSizes.filter { $0 < 10_000 } : Self.frameSizes
        let frames = Self.frames(sizes)
        #expect(try Self.cut(Self.wire(frames), pieces: { pieceBytes }) == frames)
        #expect(try Self.receive(Self.wire(frames), reads: { pieceBytes }) == frames)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func framesComeOutWholeWhateverTheReadsGive(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let sizes = (0..<30).map { _ in Int(random.next() % [10, 5_000, 150_000][Int(random.next() % 3)]) }
        let frames = Self.frames(sizes)
        let bytes = Self.wire(frames)
        #expect(try Self.cut(bytes, pieces: { 1 + Int(random.next() % 100_000) }) == frames)
        #expect(try Self.receive(bytes, reads: { 1 + Int(random.next() % 100_000) }) == frames)
    }

    @Test func aFrameWithinOneBufferIsASliceOfIt() throws {
        let received = Self.wire(Self.frames([10, 20, 30]))
        var assembler = FrameAssembler(frameBytesMax: 1000)
        assembler.append(received)
        _ = try assembler.nextFrame()
        let second = try #require(try assembler.nextFrame())
        let start = received.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress!) }
        #expect(second.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress!) } == start + 4 + 10 + 4)
    }

    @Test func frameAfterFrameOfOneSizeIsReceivedWhereItStays() throws {
        // After the first frame the assembler knows the size: the next is read into a buffer of its own, without a copy.
        let size = 900_000
        var assembler = FrameAssembler(frameBytesMax: 1 << 20)
        assembler.append(Self.wire(Self.frames([size])))
        _ = try assembler.nextFrame()
        var rest = Self.wire(Self.frames([size]))
        var address: UInt?
        while true {
            var buffer = assembler.lendReceiveBuffer(allocator: ByteBufferAllocator())
            var piece = rest.readSlice(length: min(100_000, rest.readableBytes))!
            buffer.writeBuffer(&piece)
            let start = buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress!) }
            #expect(address == nil || address == start)
            address = start
            assembler.append(buffer)
            if let frame = try assembler.nextFrame() {
                #expect(frame == Self.frames([size])[0])
                #expect(frame.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress!) } == start + 4)
                break
            }
        }
    }

    @Test func aNegativeOrOversizedLengthIsAnErrorBeforeAnyOfItIsAwaited() {
        for (length, error) in [(-1, FrameError.negativeLength(-1)), (1001, .tooLarge(length: 1001, max: 1000))] {
            var assembler = FrameAssembler(frameBytesMax: 1000)
            assembler.append(ByteBuffer(integer: Int32(length)))
            #expect(throws: error) { try assembler.nextFrame() }
        }
    }

    @Test func aLengthAloneReservesNoMoreThanAFewMegabytes() throws {
        var assembler = FrameAssembler(frameBytesMax: 1 << 30)
        assembler.append(ByteBuffer(integer: Int32(1 << 29)))
        #expect(try assembler.nextFrame() == nil)
        #expect(assembler.lendReceiveBuffer(allocator: ByteBufferAllocator()).writableBytes <= 4 << 20)
    }

    @Test func aLentBufferThatDoesNotComeBackIsNoticed() throws {
        var assembler = FrameAssembler(frameBytesMax: 1000)
        assembler.append(ByteBuffer(bytes: [0, 0, 0, 9, 1, 2]))
        #expect(try assembler.nextFrame() == nil)
        _ = assembler.lendReceiveBuffer(allocator: ByteBufferAllocator())
        _ = assembler.lendReceiveBuffer(allocator: ByteBufferAllocator())
        #expect(throws: FrameError.receiveBufferLost) { try assembler.nextFrame() }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
