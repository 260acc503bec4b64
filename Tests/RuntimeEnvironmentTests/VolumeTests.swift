//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Metering
import NIOCore
import RuntimeEnvironment
import Testing

@Suite struct VolumeTests {
    private let meters = Meters()

    private func open(_ specification: String) throws(VolumeError) -> Volume {
        try Volume.open(specification: specification, meters: meters) { $0.hasSuffix(".log") ? .hotLog : .index }
    }

    @Test func aReplicatedVolumeKeepsEveryByteInEveryCopyAndCountsIt() throws {
        let directory = try TemporaryDirectory()
        let disk = try open("replicated:3:\(directory.path)/v").disk
        try disk.makeDirectory("t-0")
        let file = try disk.open("t-0/0.log", .createNew)
        try file.write([ByteBuffer(repeating: 7, count: 10_000)], at: 0)
        try file.synchronize()
        try disk.open("t-0/0.index", .createNew).write([ByteBuffer(repeating: 1, count: 100)], at: 0)
        let copies = (0..<3).map { directory.bytes("v/copy-\($0)/t-0/0.log") }
        #expect(copies.allSatisfy { $0 == Data(repeating: 7, count: 10_000) })
        #expect(disk.copies == 3)
        #expect(try disk.freeBytes() < PosixDisk(root: directory.path).freeBytes() / 2, "copies on one medium share its room")
        #expect(disk.physicalPaths("t-0/0.log") == (0..<3).map { "\(directory.path)/v/copy-\($0)/t-0/0.log" })
        #expect(try file.allocatedBytes() == 3 * 12_288)
        #expect(meters.bytesWritten[.hotLog]?.value == 30_000)
        #expect(meters.bytesWritten[.index]?.value == 300)
        #expect(meters.network[.volumeCopies]?.value == 30_300)
        #expect(meters.synchronizations.value == 3)
        #expect(try disk.list("").map(\.name) == ["t-0"])
    }

    @Test func aPlainDirectoryCountsOnceAndNothingOnTheNetwork() throws {
        let directory = try TemporaryDirectory()
        let disk = try open(directory.path).disk
        try disk.open("0.log", .createNew).write([ByteBuffer(repeating: 7, count: 10)], at: 0)
        #expect(meters.bytesWritten[.hotLog]?.value == 10)
        #expect(meters.network[.volumeCopies]?.value == 0)
        #expect(try disk.list("").map(\.name) == ["0.log"])
    }

    @Test func copiesThatACrashLeftApartAreMadeAlikeBeforeTheNextWrite() throws {
        let directory = try TemporaryDirectory()
        let specification = "replicated:3:\(directory.path)"
        try open(specification).disk.open("0.log", .createNew).write([ByteBuffer(string: "abcdef")], at: 0)
        try Data("abcd".utf8).write(to: URL(filePath: directory.path + "/copy-1/0.log"))
        try FileManager.default.removeItem(atPath: directory.path + "/copy-2/0.log")
        let disk = try open(specification).disk
        try disk.open("0.log", .readWrite).write([ByteBuffer(string: "ghi")], at: 6)
        for copy in 0..<3 { #expect(directory.bytes("copy-\(copy)/0.log") == Data("abcdefghi".utf8)) }
    }

    @Test(arguments: ["replicated:0:/tmp/x", "replicated:3", "replicated:three:/tmp/x", "replicated:3:", ""])
    func badSpecificationsAreNamed(_ specification: String) {
        let failure = #expect(throws: VolumeError.self) { try open(specification) }
        #expect(failure?.description.contains("replicated:N:DIR") == true)
    }

    @Test func aFileInPlaceOfTheDirectoryIsNamed() throws {
        let directory = try TemporaryDirectory()
        try Data().write(to: URL(filePath: directory.path + "/f"))
        let failure = #expect(throws: VolumeError.self) { try open(directory.path + "/f") }
        #expect(failure?.description.contains(directory.path + "/f") == true)
    }

    @Test func anotherNumberOfCopiesIsRefused() throws {
        let directory = try TemporaryDirectory()
        _ = try open("replicated:2:\(directory.path)")
        let failure = #expect(throws: VolumeError.self) { try open("replicated:3:\(directory.path)") }
        #expect(failure?.description.contains("copy 0 of 2") == true)
    }

    @Test func anEmptiedCopyIsNotTakenForTheTruth() throws {
        let directory = try TemporaryDirectory()
        let specification = "replicated:2:\(directory.path)"
        try open(specification).disk.replaceFile("f.log", with: ByteBuffer(string: "x"))
        try FileManager.default.removeItem(atPath: directory.path + "/copy-0")
        let failure = #expect(throws: VolumeError.self) { try open(specification) }
        #expect(failure?.description.contains("copy-0 is empty") == true)
        #expect(directory.bytes("copy-1/f.log") == Data("x".utf8))
    }
}
