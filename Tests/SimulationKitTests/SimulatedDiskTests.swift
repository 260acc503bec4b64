//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

private let seeds: ClosedRange<UInt64> = 1...150

@Suite struct SimulatedDiskTests {
    @Test func aLyingSyncMakesNothingDurable() throws {
        var lost = 0
        for seed in 1...20 as ClosedRange<UInt64> {
            let disk = SimulatedDisk(seed: seed)
            let file = try disk.open("a", .createNew)
            try disk.synchronizeDirectory("")
            disk.setLiesAboutSync(true)
            try file.write([ByteBuffer(string: "gone")], at: 0)
            try file.synchronize()
            if (try? disk.crash(.powerCut).readFile("a")) != ByteBuffer(string: "gone") { lost += 1 }
        }
        #expect(lost > 0)
    }

    @Test func whatWasSyncedSurvivesAndTheRestIsOldOrNewOrZero() throws {
        var lengths: Set<Int> = []
        for seed in seeds {
            let disk = SimulatedDisk(seed: seed)
            let random = SeededRandomSource(seed: seed)
            let file = try disk.open("log", .createNew)
            try disk.synchronizeDirectory("")
            var written: [UInt8] = []
            var synced = 0
            for _ in 0..<20 {
                let bytes = [UInt8](repeating: UInt8(1 + random.next(below: 255)), count: Int(random.next(below: 3_000)))
                try file.write([ByteBuffer(bytes: bytes)], at: Int64(written.count))
                written += bytes
                if random.chance(0.2) {
                    try file.synchronize()
                    synced = written.count
                }
            }
            let left = Array(try disk.crash(.powerCut).readFile("log").readableBytesView)
            #expect(left.count >= synced && left.count <= written.count, "seed \(seed)")
            #expect(left[..<synced] == written[..<synced], "seed \(seed)")
            #expect(zip(left[synced...], written[synced...]).allSatisfy { $0 == $1 || $0 == 0 }, "seed \(seed)")
            lengths.insert(left.count - synced)
        }
        #expect(lengths.count > 30, "power cuts leave tails of many lengths")
    }

    @Test func overwrittenBytesAreOldOrNewAfterAPowerCut() throws {
        var mixtures = 0
        for seed in seeds {
            let disk = SimulatedDisk(seed: seed)
            let file = try disk.open("ring", .createNew)
            try file.write([ByteBuffer(repeating: 1, count: 10_000)], at: 0)
            try file.synchronize()
            try disk.synchronizeDirectory("")
            try file.write([ByteBuffer(repeating: 2, count: 5_000)], at: 1_000)
            let left = Array(try disk.crash(.powerCut).readFile("ring").readableBytesView)
            #expect(left.count == 10_000)
            #expect(left[..<1_000].allSatisfy { $0 == 1 } && left[6_000...].allSatisfy { $0 == 1 }, "seed \(seed)")
            #expect(left[1_000..<6_000].allSatisfy { $0 == 1 || $0 == 2 }, "seed \(seed)")
            if Set(left[1_000..<6_000]).count == 2 { mixtures += 1 }
        }
        #expect(mixtures > 10, "some power cuts tear the write")
    }

    @Test func aTruncationIsDurableOnlyOnceSynced() throws {
        var lengths: Set<Int> = []
        for seed in seeds {
            let disk = SimulatedDisk(seed: seed)
            let file = try disk.open("f", .createNew)
            try file.write([ByteBuffer(repeating: 1, count: 9_000)], at: 0)
            try file.synchronize()
            try disk.synchronizeDirectory("")
            try file.truncate(to: 4_500)
            lengths.insert(try disk.crash(.powerCut).readFile("f").readableBytes)
        }
        #expect(lengths == [4_500, 9_000])
    }

    @Test func namesAreDurableOnceTheirDirectoryIsSynced() throws {
        var survivals = 0
        for seed in seeds {
            let disk = SimulatedDisk(seed: seed)
            try disk.makeDirectory("a/b")
            try disk.synchronizeDirectory("")
            try disk.synchronizeDirectory("a")
            try disk.open("a/b/kept", .createNew).synchronize()
            try disk.synchronizeDirectory("a/b")
            try disk.open("a/b/new", .createNew).synchronize()
            try disk.remove("a/b/kept")
            let after = disk.crash(.powerCut)
            let names = try after.list("a/b").map(\.name)
            // In order: the removal is not kept without the creation before it.
            #expect(names == ["kept"] || names == ["kept", "new"] || names == ["new"], "seed \(seed)")
            if names != ["kept"] { survivals += 1 }
        }
        #expect(survivals > 10 && survivals < 140)
    }

    @Test func replacingAFileLeavesTheOldOrTheNew() throws {
        var seen: Set<String> = []
        for seed in seeds {
            let disk = SimulatedDisk(seed: seed)
            try disk.replaceFile("f", with: ByteBuffer(string: "old"))
            // Cut off at each of its calls in turn.
            let calls = SeededRandomSource(seed: seed).next(below: 8)
            let count = CallCount()
            disk.setFault { _ in count.next() > calls ? .inputOutput : nil }
            _ = try? disk.replaceFile("f", with: ByteBuffer(string: "new content"))
            disk.setFault(nil)
            let content = String(buffer: try disk.crash(.powerCut).readFile("f"))
            #expect(content == "old" || content == "new content", "seed \(seed)")
            seen.insert(content)
        }
        #expect(seen.count == 2)
    }

    @Test func theModelFindsAMissingSync() throws {
        let broken = try seeds.contains { seed in
            let disk = SimulatedDisk(seed: seed)
            try disk.replaceFile("f", with: ByteBuffer(string: "old"))
            try disk.open("f.tmp", .createNew).write([ByteBuffer(string: "new content")], at: 0)
            try disk.rename("f.tmp", to: "f")
            try disk.synchronizeDirectory("")
            let content = String(buffer: try disk.crash(.powerCut).readFile("f"))
            return content != "old" && content != "new content"
        }
        #expect(broken)
    }

    @Test func aRenamedDirectoryKeepsItsFiles() throws {
        for seed in seeds {
            let disk = SimulatedDisk(seed: seed)
            try disk.makeDirectory("t-0")
            try disk.synchronizeDirectory("")
            let file = try disk.open("t-0/0.log", .createNew)
            try file.write([ByteBuffer(string: "x")], at: 0)
            try file.synchronize()
            try disk.synchronizeDirectory("t-0")
            try disk.rename("t-0", to: "t-0.delete")
            #expect(try disk.exists("t-0.delete/0.log"))
            let after = disk.crash(.powerCut)
            let names = try after.list("").map(\.name)
            #expect(names == ["t-0"] || names == ["t-0.delete"], "seed \(seed)")
            #expect(try after.readFile(names[0] + "/0.log").readableBytes == 1)
        }
    }

    @Test func aKilledProcessLosesNothingButItsHandles() throws {
        let disk = SimulatedDisk(seed: 1)
        let file = try disk.open("f", .createNew)
        try file.write([ByteBuffer(string: "unsynced")], at: 0)
        let next = disk.crash(.processKill)
        #expect(String(buffer: try next.readFile("f")) == "unsynced")
        #expect(#expect(throws: DiskError.self) { try file.size() }?.code == .inputOutput)
        #expect(throws: DiskError.self) { try disk.open("f", .readOnly) }
        file.close()
    }

    @Test func aFullDiskTakesWhatFitsAndFreesWhatIsRemoved() throws {
        let disk = SimulatedDisk(seed: 1, capacityBytes: 5 * 4_096)
        let file = try disk.open("f", .createNew)
        try file.write([ByteBuffer(repeating: 1, count: 3 * 4_096)], at: 0)
        let failure = #expect(throws: DiskError.self) {
            try file.write([ByteBuffer(repeating: 2, count: 4 * 4_096)], at: 3 * 4_096)
        }
        #expect(failure?.code == .noSpace)
        #expect(try file.size() == 5 * 4_096)
        #expect(try disk.freeBytes() == 0)
        let second = try disk.open("g", .createNew)
        #expect(#expect(throws: DiskError.self) { try second.reserve(1) }?.code == .noSpace)
        try file.write([ByteBuffer(repeating: 3, count: 100)], at: 50)
        try disk.remove("f")
        #expect(try disk.freeBytes() == 0, "an open file keeps its room")
        file.close()
        #expect(try disk.freeBytes() == 5 * 4_096)
        try second.reserve(3 * 4_096)
        #expect(try second.allocatedBytes() == 3 * 4_096)
        #expect(try second.size() == 0)
        #expect(try disk.crash(.processKill).freeBytes() == 2 * 4_096)
    }

    @Test func sparseFilesTakeRoomForWhatWasWritten() throws {
        let disk = SimulatedDisk(seed: 1)
        let file = try disk.open("f", .createNew)
        try file.truncate(to: 1 << 40)
        try file.write([ByteBuffer(string: "end")], at: (1 << 40) - 3)
        #expect(try file.size() == 1 << 40)
        #expect(try file.allocatedBytes() == 4_096)
        #expect(try file.readBytes(at: 1 << 39, length: 4) == ByteBuffer(repeating: 0, count: 4))
    }

    @Test func aFailedSyncLosesItsBytesForGood() throws {
        for seed in seeds.prefix(50) {
            let disk = SimulatedDisk(seed: seed)
            let file = try disk.open("f", .createNew)
            try disk.synchronizeDirectory("")
            try file.write([ByteBuffer(string: "AAAA")], at: 0)
            try file.synchronize()
            try file.write([ByteBuffer(string: "BBBB")], at: 4)
            disk.setFault { $0.kind == .synchronize ? .inputOutput : nil }
            #expect(throws: DiskError.self) { try file.synchronize() }
            disk.setFault(nil)
            try file.write([ByteBuffer(string: "CCCC")], at: 8)
            try file.synchronize()
            #expect(String(buffer: try file.readBytes(at: 0, length: 12)) == "AAAABBBBCCCC", "the cache still shows them")
            let left = try disk.crash(.powerCut).readFile("f")
            #expect(left == ByteBuffer(string: "AAAA\0\0\0\0CCCC"), "seed \(seed)")
        }
    }

    @Test func theSameSeedLosesTheSame() throws {
        func run(_ seed: UInt64) throws -> ByteBuffer {
            let disk = SimulatedDisk(seed: seed)
            let file = try disk.open("f", .createNew)
            try disk.synchronizeDirectory("")
            for index in 0..<30 { try file.write([ByteBuffer(repeating: UInt8(index + 1), count: 777)], at: Int64(index) * 700) }
            return try disk.crash(.powerCut).readFile("f")
        }
        for seed in seeds.prefix(30) { #expect(try run(seed) == run(seed)) }
        #expect(try Set(seeds.prefix(30).map(run)).count > 5)
    }

    @Test func rotChangesOneByteUnseen() throws {
        let disk = SimulatedDisk(seed: 1)
        try disk.replaceFile("f", with: ByteBuffer(bytes: [1, 2, 3]))
        disk.corrupt("f", at: 1, mask: 0x80)
        #expect(Array(try disk.readFile("f").readableBytesView) == [1, 0x82, 3])
    }
}
