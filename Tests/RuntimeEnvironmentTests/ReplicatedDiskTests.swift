//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

private final class Reports: Sendable {
    private let seen = Mutex<[Int]>([])
    func note(_ copy: Int) { seen.withLock { $0.append(copy) } }
    var copies: [Int] { seen.withLock { $0 } }
}

@Suite struct ReplicatedDiskTests {
    private func disks(_ count: Int, seed: UInt64 = 1, capacityBytes: Int64? = nil) -> [SimulatedDisk] {
        (0..<count).map { SimulatedDisk(seed: seed &* 31 &+ UInt64($0), capacityBytes: capacityBytes) }
    }

    @Test(arguments: [1, 2, 3, 5])
    func everyOperationReachesEveryCopy(_ count: Int) throws {
        let copies = disks(count)
        let disk = try ReplicatedDisk(copies: copies)
        try disk.makeDirectory("d")
        let file = try disk.open("d/a", .createNew)
        try file.write([ByteBuffer(string: "hello "), ByteBuffer(string: "world!")], at: 0)
        try file.truncate(to: 11)
        try file.synchronize()
        try disk.rename("d/a", to: "d/b")
        try disk.link("d/b", to: "d/c")
        try disk.synchronizeDirectory("d")
        _ = try disk.open("d/gone", .createNew)
        try disk.remove("d/gone")
        for copy in copies {
            #expect(try copy.list("d").map(\.name) == ["b", "c"])
            #expect(String(buffer: try copy.readFile("d/b")) == "hello world")
        }
        #expect(try file.allocatedBytes() == Int64(count) * 4_096)
        try disk.removeTree("d")
        for copy in copies { #expect(try !copy.exists("d")) }
        #expect(disk.unhealthyCopies.isEmpty)
    }

    @Test(arguments: [0, 1, 2])
    func oneFailingCopyOfThreeIsLeftOutForGood(_ failing: Int) throws {
        let copies = disks(3)
        let reports = Reports()
        let disk = try ReplicatedDisk(copies: copies) { copy, _ in reports.note(copy) }
        let file = try disk.open("f", .createNew)
        try file.write([ByteBuffer(string: "one")], at: 0)
        copies[failing].setFault { $0.kind == .write || $0.kind == .read ? .inputOutput : nil }
        try file.write([ByteBuffer(string: "two")], at: 3)
        copies[failing].setFault(nil)
        try file.write([ByteBuffer(string: "three")], at: 6)
        #expect(reports.copies == [failing])
        #expect(disk.unhealthyCopies.keys.sorted() == [failing])
        #expect(String(buffer: try disk.readFile("f")) == "onetwothree")
        #expect(String(buffer: try copies[failing].readFile("f")) == "one")

        // A restart must not take the stale copy for the truth.
        let reopened = try ReplicatedDisk(copies: copies)
        #expect(reopened.unhealthyCopies.keys.sorted() == [failing])
        #expect(String(buffer: try reopened.readFile("f")) == "onetwothree")
        #expect(try reopened.list("").map(\.name) == ["f"])
    }

    @Test func aReadFallsBackToTheNextCopy() throws {
        let copies = disks(3)
        let disk = try ReplicatedDisk(copies: copies)
        try disk.replaceFile("f", with: ByteBuffer(string: "content"))
        copies[0].setFault { $0.kind == .read ? .inputOutput : nil }
        #expect(String(buffer: try disk.readFile("f")) == "content")
        #expect(disk.unhealthyCopies.keys.sorted() == [0])
    }

    @Test func withoutAMajorityTheWriteFails() throws {
        let copies = disks(3)
        let disk = try ReplicatedDisk(copies: copies)
        let file = try disk.open("f", .createNew)
        for copy in copies[1...] { copy.setFault { $0.kind == .synchronize ? .inputOutput : nil } }
        #expect(#expect(throws: DiskError.self) { try file.synchronize() }?.code == .inputOutput)
        #expect(disk.unhealthyCopies.isEmpty, "which copy is right cannot be told")
        let pair = disks(2)
        let both = try ReplicatedDisk(copies: pair).open("f", .createNew)
        pair[1].setFault { $0.kind == .write ? .inputOutput : nil }
        #expect(throws: DiskError.self) { try both.write([ByteBuffer(string: "x")], at: 0) }
    }

    @Test func oneFullCopyFailsTheWriteAndIsNotBlamed() throws {
        let copies = disks(3)
        copies[2].setCapacity(4_096)
        let disk = try ReplicatedDisk(copies: copies)
        let file = try disk.open("f", .createNew)
        let failure = #expect(throws: DiskError.self) { try file.write([ByteBuffer(repeating: 1, count: 9_000)], at: 0) }
        #expect(failure?.code == .noSpace)
        #expect(disk.unhealthyCopies.isEmpty)
        #expect(try disk.freeBytes() == 0)
        copies[2].setCapacity(nil)
        try file.write([ByteBuffer(repeating: 1, count: 9_000)], at: 0)
        for copy in copies { #expect(try copy.readFile("f") == ByteBuffer(repeating: 1, count: 9_000)) }
    }

    @Test func failuresOfTheOperationItselfBlameNoCopy() throws {
        let disk = try ReplicatedDisk(copies: disks(3))
        #expect(#expect(throws: DiskError.self) { try disk.open("none", .readWrite) }?.code == .notFound)
        #expect(#expect(throws: DiskError.self) { try disk.rename("none", to: "f") }?.code == .notFound)
        let file = try disk.open("f", .createNew)
        #expect(#expect(throws: DiskError.self) { try disk.open("f", .createNew) }?.code == .alreadyExists)
        #expect(#expect(throws: DiskError.self) { try file.readBytes(at: 0, length: 1) }?.code == .endOfFile)
        #expect(disk.unhealthyCopies.isEmpty)
    }

    @Test func afterAPowerCutSyncedBytesAreThereAndTheNextWriteMakesCopiesAlike() throws {
        for seed in UInt64(1)...100 {
            let copies = disks(3, seed: seed)
            let disk = try ReplicatedDisk(copies: copies)
            let file = try disk.open("f", .createNew)
            try disk.synchronizeDirectory("")
            try file.write([ByteBuffer(repeating: 1, count: 5_000)], at: 0)
            try file.synchronize()
            for step in 0..<5 {
                try file.write([ByteBuffer(repeating: UInt8(step + 2), count: 900)], at: 5_000 + Int64(step) * 800)
            }
            try disk.replaceFile("g", with: ByteBuffer(string: "g"))
            let remounted = copies.map { $0.crash(.powerCut) }
            let after = try ReplicatedDisk(copies: remounted)
            let reopened = try after.open("f", .readWrite)
            #expect(try reopened.readBytes(at: 0, length: 5_000) == ByteBuffer(repeating: 1, count: 5_000), "seed \(seed)")
            try reopened.truncate(to: 5_000)
            try reopened.write([ByteBuffer(string: "tail")], at: 5_000)
            let contents = try remounted.map { try $0.readFile("f") }
            #expect(Set(contents).count == 1, "seed \(seed)")
            #expect(contents[0].readableBytes == 5_004)
            #expect(String(buffer: try after.readFile("g")) == "g")
        }
    }
}
