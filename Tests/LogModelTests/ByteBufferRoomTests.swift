//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import NIOCore
import Testing

@Suite struct ByteBufferRoomTests {
    @Test(arguments: [0, 1, 61, 65_536, 65_537, (1 << 20) + 4])
    func memoryIsOfTheSizeAskedFor(bytes: Int) {
        var buffer = ByteBuffer(roomFor: bytes)
        #expect(buffer.storageCapacity == bytes && buffer.writableBytes == bytes && buffer.readableBytes == 0)
        buffer.writeRepeatingByte(7, count: bytes)
        #expect(buffer.storageCapacity == bytes)
        #expect(buffer == ByteBuffer(repeating: 7, count: bytes))
    }

    @Test func writingBeyondTheRoomGrowsIt() {
        var buffer = ByteBuffer(roomFor: 5)
        buffer.writeBytes([1, 2, 3, 4, 5, 6, 7])
        #expect(Array(buffer.readableBytesView) == [1, 2, 3, 4, 5, 6, 7])
    }

    @Test func aCopyToSizeHoldsNothingOfWhatItWasCutFrom() throws {
        let whole = ByteBuffer(repeating: 9, count: 100_000)
        let slice = try #require(whole.getSlice(at: 500, length: 70_000))
        let copy = ByteBuffer(copyToSizeOf: slice)
        #expect(copy == slice)
        #expect(copy.storageCapacity == 70_000 && slice.storageCapacity >= 100_000)
    }
}
