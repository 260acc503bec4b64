//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Foundation
import Testing

@Suite struct ObjectPlaceTests {
    private func place(_ url: String?) -> ObjectPlace {
        ObjectPlace(url, ownDirectory: "/data/shared", mode: "shared", runName: "ninefold-7")
    }

    @Test func aModeHasAPlaceOfItsOwnBelowWhatWasNamed() {
        let endpoint = place("s3://bucket/some/prefix/?endpoint=http://127.0.0.1:9&copies=3")
        #expect(endpoint.url == "s3://bucket/some/prefix/ninefold-7/shared?endpoint=http://127.0.0.1:9&copies=3")
        #expect(endpoint.copies == 3 && endpoint.basis == "declared" && endpoint.directory == nil)
        let directory = place("file:///var/a%20b?copies=2")
        #expect(directory.url == "file:///var/a%20b/ninefold-shared?copies=2")
        #expect(directory.directory == "/var/a b/ninefold-shared")
        #expect(directory.copies == 2 && directory.basis == "measured")
        let own = place(nil)
        #expect(own.directory == "/data/shared/objects" && own.copies == 3 && own.basis == "measured")
    }

    @Test func copiesThatNobodyDeclaredAreCountedOnceAndKnownAsUndeclared() {
        let endpoint = place("s3://bucket?endpoint=http://127.0.0.1:9")
        #expect(endpoint.url == "s3://bucket/ninefold-7/shared?endpoint=http://127.0.0.1:9")
        #expect(endpoint.copies == 1 && !endpoint.saysCopies)
    }
}

@Suite struct ModeVariantTests {
    @Test func aVariantIsItsModeWithSomethingSetOtherwise() {
        #expect(Set(ModeVariant.names).count == ModeVariant.names.count)
        #expect(ModeVariant.standardNames.allSatisfy { ModeVariant.named($0)?.storageMode == $0 })
        for variant in ModeVariant.all where variant.name.contains("+") {
            let mode = ModeVariant.named(variant.storageMode)
            #expect(mode != nil && mode?.properties != variant.properties && !variant.meaning.isEmpty)
            #expect(!ModeVariant.plainName(of: variant.name).contains("+"))
        }
        #expect(ModeVariant.storageMode(of: "shared+object-wal") == "shared")
    }
}

/// Directories that stand for a mount and the disks below it.
@Suite struct BackingMeasureTests {
    /// Removed with the value that holds it.
    private final class Scratch {
        let path = NSTemporaryDirectory() + "ninefold-backing-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ name: String, bytes: Int) throws {
            let url = URL(fileURLWithPath: "\(path)/\(name)")
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(repeating: 7, count: bytes).write(to: url)
        }

        @discardableResult
        func directory(_ name: String) throws -> String {
            try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
            return "\(path)/\(name)"
        }
    }

    /// As `du -sB1` prints it.
    private func diskUsage(_ paths: [String]) throws -> Int64 {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/du")
        process.arguments = ["-scB1"] + paths
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return try #require(text.split(separator: "\n").last?.split(separator: "\t").first.flatMap { Int64($0) })
    }

    @Test func bytesInChunksThatHideTheirFilesAreDividedAsTheFilesAre() throws {
        let scratch = Scratch()
        let mount = try scratch.directory("mount")
        let disks = try (0..<3).map { try scratch.directory("disk-\($0)") }
        try scratch.write("disk-0/there-before", bytes: 500_000)
        let before = try diskUsage(disks)
        let measure = BackingMeasure(directory: mount, backing: disks)
        try scratch.write("mount/t-0/00000000000000000000.log", bytes: 1 << 20)
        try scratch.write("mount/t-0/00000000000000000000.index", bytes: 1 << 18)
        for disk in 0..<3 { try scratch.write("disk-\(disk)/chunk", bytes: (1 << 20) + (1 << 18)) }
        let result = measure.measure()
        #expect(result.physical.allocatedBytes == (try diskUsage(disks)) - before)
        // Directories of the mount take a block each, and have none in the chunks.
        #expect(abs(result.copies - 3) < 0.05)
        let log = Double(result.physical.allocatedByKind["hotLog"] ?? 0)
        #expect(abs(log / 3 / Double(1 << 20) - 1) < 0.02)
    }

    @Test func bytesThatShowTheirFilesAreToldApartByNameAndTheRestIsTheMountsOwn() throws {
        let scratch = Scratch()
        let mount = MountPoint.resolved(try scratch.directory("mount"))
        let below = try #require(MountPoint.of(mount).flatMap { MountPoint.relative(mount, below: $0.path) })
        let bricks = try (0..<3).map { try scratch.directory("brick-\($0)") }
        let before = try diskUsage(bricks)
        let measure = BackingMeasure(directory: mount, backing: bricks)
        let log = "t-0/00000000000000000000.log"
        try scratch.write("mount/\(log)", bytes: 100_000)
        for brick in bricks {
            let name = String(brick.dropFirst(scratch.path.count + 1))
            try scratch.write("\(name)/\(below)/\(log)", bytes: 100_000)
            // A brick's second name of the same file, found first, and a file of its own.
            try scratch.directory("\(name)/.glusterfs/ab")
            try FileManager.default.linkItem(atPath: "\(brick)/\(below)/\(log)", toPath: "\(brick)/.glusterfs/ab/identity")
            try scratch.write("\(name)/.glusterfs/indices", bytes: 9_000)
        }
        let result = measure.measure()
        #expect(result.copies == 3)
        #expect(result.copiesByKind["hotLog"] == 3)
        #expect(result.physical.lengthByKind["hotLog"] == 300_000)
        #expect(result.physical.allocatedBytes == (try diskUsage(bricks)) - before)
        #expect((result.physical.allocatedByKind[BackingMeasure.ownKind] ?? 0) >= 3 * 9_000)
        #expect(result.physical.allocatedByKind.values.reduce(0, +) == result.physical.allocatedBytes)
    }

    @Test func aFileWithTwoNamesIsCountedOnceAndAsDiskUsageDoes() throws {
        let scratch = Scratch()
        try scratch.write("one/00000000000000000000.log", bytes: 300_000)
        try FileManager.default.linkItem(
            atPath: "\(scratch.path)/one/00000000000000000000.log", toPath: "\(scratch.path)/one/identity")
        let walked = DirectoryMeasure.walk("\(scratch.path)/one")
        #expect(walked.allocatedBytes == (try diskUsage(["\(scratch.path)/one"])))
        #expect(walked.files == 1)
    }
}
