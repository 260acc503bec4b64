//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import Testing

@Suite struct PosixDiskTests {
    @Test func writesAreReadBackAndLieInTheDirectory() throws {
        let directory = try TemporaryDirectory()
        let disk = PosixDisk(root: directory.path + "/")
        try disk.makeDirectory("a/b")
        let file = try disk.open("a/b/c", .createNew)
        try file.write([ByteBuffer(string: "world")], at: 5)
        try file.write([ByteBuffer(string: "he"), ByteBuffer(), ByteBuffer(string: "llo")], at: 0)
        try file.synchronize()
        #expect(try file.size() == 10)
        #expect(String(buffer: try file.readBytes(at: 0, length: 10)) == "helloworld")
        #expect(directory.bytes("a/b/c").map { String(decoding: $0, as: UTF8.self) } == "helloworld")
        #expect(disk.physicalPaths("a/b/c") == [directory.path + "/a/b/c"])
    }

    @Test func moreBuffersThanOneCallTakesAreAllWritten() throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        var expected = ByteBuffer()
        let buffers = (0..<3_000).map { index in
            let buffer = ByteBuffer(repeating: UInt8(truncatingIfNeeded: index), count: index % 7)
            expected.writeImmutableBuffer(buffer)
            return buffer
        }
        try file.write(buffers, at: 3)
        #expect(try file.readBytes(at: 3, length: expected.readableBytes) == expected)
    }

    /// Whole blocks by direct I/O, the rest not: sizes about the limits, cut into uneven buffers, and a second piece behind the first.
    @Test(arguments: [0, 1, 131_071, 131_072, 1 << 20, (1 << 20) + 1, 3_145_728 + 4_095])
    func whatGoesPastThePageCacheIsReadBack(length: Int) throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        var expected = ByteBuffer()
        for second in [false, true] {
            var buffers: [ByteBuffer] = []
            var left = length
            while left > 0 {
                var buffer = ByteBuffer()
                for index in 0..<min(left, 77_777) {
                    buffer.writeInteger(UInt8(truncatingIfNeeded: index &* 31 ^ left ^ (second ? 9 : 0)))
                }
                // Neither the buffer's memory nor its bytes begin at a block's start.
                buffer.moveReaderIndex(forwardBy: min(1, buffer.readableBytes - 1))
                left -= buffer.readableBytes
                expected.writeImmutableBuffer(buffer)
                buffers.append(buffer)
            }
            try file.writeUncached(buffers, at: Int64(expected.readableBytes - length))
        }
        try file.synchronize()
        #expect(try file.size() == 2 * Int64(length))
        #expect(try file.readBytes(at: 0, length: 2 * length) == expected)
    }

    @Test func whatIsWrittenToBeDroppedReadsBackAndGrowsOn() throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        var expected = ByteBuffer()
        for length in [1, 4_095, 100_003, 1 << 20, 7, 300_001] {
            let half = ByteBuffer(repeating: UInt8(truncatingIfNeeded: length), count: length)
            let buffers = [half, ByteBuffer(), ByteBuffer(string: "between"), half]
            try file.writeDropping(buffers, at: Int64(expected.readableBytes))
            for buffer in buffers { expected.writeImmutableBuffer(buffer) }
            #expect(try file.readBytes(at: 0, length: expected.readableBytes) == expected)
        }
        try file.synchronize()
        #expect(try file.size() == Int64(expected.readableBytes))
        #expect(try file.readBytes(at: 0, length: expected.readableBytes) == expected)
    }

    @Test func whatLiesAtBlocksIsWrittenFromWhereItLies() throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        var aligned = ByteBuffer()
        aligned.reserveCapacity(1 << 20)
        let padding = aligned.withUnsafeMutableWritableBytes { -Int(bitPattern: $0.baseAddress) & 4_095 }
        aligned.moveWriterIndex(to: padding)
        aligned.moveReaderIndex(to: padding)
        for index in 0..<300_001 { aligned.writeInteger(UInt8(truncatingIfNeeded: index &* 7)) }
        let buffers = [ByteBuffer(), aligned, ByteBuffer(string: "between"), aligned, ByteBuffer()]
        try file.writeUncached(buffers, at: 8_192)
        var expected = ByteBuffer(repeating: 0, count: 8_192)
        for buffer in buffers { expected.writeImmutableBuffer(buffer) }
        #expect(try file.size() == Int64(expected.readableBytes))
        #expect(try file.readBytes(at: 0, length: expected.readableBytes) == expected)
    }

    @Test func readingPastTheEndSaysSo() throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        try file.write([ByteBuffer(string: "abc")], at: 0)
        let failure = #expect(throws: DiskError.self) { try file.readBytes(at: 1, length: 3) }
        #expect(failure?.code == .endOfFile)
    }

    @Test func openModesKeepTheirPromises() throws {
        let disk = PosixDisk(root: try TemporaryDirectory().path)
        try disk.makeDirectory("")
        #expect(#expect(throws: DiskError.self) { try disk.open("f", .readOnly) }?.code == .notFound)
        #expect(#expect(throws: DiskError.self) { try disk.open("f", .readWrite) }?.code == .notFound)
        try disk.open("f", .readWriteCreate).write([ByteBuffer(string: "kept")], at: 0)
        #expect(#expect(throws: DiskError.self) { try disk.open("f", .createNew) }?.code == .alreadyExists)
        #expect(try disk.open("f", .readWriteCreate).size() == 4)
        try disk.removeTree("")
    }

    @Test func reservingChangesBlocksAndNotLength() throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        try file.reserve(1 << 20)
        #expect(try file.size() == 0)
        #expect(try file.allocatedBytes() >= 1 << 20)
        try file.truncate(to: 0)
        #expect(try file.allocatedBytes() < 1 << 20)
    }

    @Test func aClosedFileRefusesAndClosingTwiceIsFine() throws {
        let directory = try TemporaryDirectory()
        let file = try PosixDisk(root: directory.path).open("f", .createNew)
        #expect(file.descriptor != nil)
        file.close()
        file.close()
        #expect(file.descriptor == nil)
        #expect(throws: DiskError.self) { try file.size() }
    }

    @Test func directoriesAreListedRenamedAndRemoved() throws {
        let directory = try TemporaryDirectory()
        let disk = PosixDisk(root: directory.path)
        try disk.makeDirectory("d/inner")
        try disk.makeDirectory("d")
        try disk.open("d/b", .createNew).write([ByteBuffer(string: "12345")], at: 0)
        _ = try disk.open("d/a", .createNew)
        let before = SystemClock().wallMilliseconds()
        let listed = try disk.list("d")
        #expect(listed.allSatisfy { abs(before - ($0.modifiedMilliseconds ?? 0)) < 600_000 })
        #expect(
            listed.map { DiskEntry(name: $0.name, isDirectory: $0.isDirectory, size: $0.size) } == [
                DiskEntry(name: "a", isDirectory: false, size: 0), DiskEntry(name: "b", isDirectory: false, size: 5),
                DiskEntry(name: "inner", isDirectory: true, size: 0),
            ])
        try disk.rename("d/b", to: "d/a")
        try disk.synchronizeDirectory("d")
        #expect(try disk.readFile("d/a").readableBytes == 5)
        #expect(try !disk.exists("d/b"))
        try disk.remove("d/b")
        try disk.removeTree("d")
        try disk.removeTree("d")
        #expect(try !disk.exists("d"))
        #expect(try disk.freeBytes() > 0)
        #expect(#expect(throws: DiskError.self) { try disk.list("d") }?.code == .notFound)
    }

    @Test func oneOfManyWhoLinkToANameWins() throws {
        let directory = try TemporaryDirectory()
        let disk = PosixDisk(root: directory.path)
        for name in ["a", "b"] { try disk.open(name, .createNew).write([ByteBuffer(string: name)], at: 0) }
        try disk.link("a", to: "t")
        #expect(#expect(throws: DiskError.self) { try disk.link("b", to: "t") }?.code == .alreadyExists)
        try disk.remove("a")
        #expect(String(buffer: try disk.readFile("t")) == "a")
    }

    @Test func replacingAFileLeavesNoTemporaryOne() throws {
        let directory = try TemporaryDirectory()
        let disk = PosixDisk(root: directory.path)
        try disk.replaceFile("f", with: ByteBuffer(string: "one"))
        try disk.replaceFile("f", with: ByteBuffer(string: "two"))
        #expect(String(buffer: try disk.readFile("f")) == "two")
        #expect(try disk.list("").map(\.name) == ["f"])
    }
}
