//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Testing

@Suite struct LocalDirectoryStoreTests {
    private func open(_ directory: TemporaryDirectory, copies: Int = 1) throws(ObjectStoreError) -> any ObjectStore {
        try ObjectStoreURL.open(
            "file://\(directory.path)/store?copies=\(copies)", environment: .real, meters: Meters(), credentials: [:])
    }

    @Test func everyCopyHoldsTheBytes() async throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory, copies: 3)
        try await store.put("topics/t-0/segment", "the bytes")
        let paths = store.physicalPaths("topics/t-0/segment")
        #expect(paths == (0..<3).map { "\(directory.path)/store/copy-\($0)/topics+/t-0+/segment" })
        for path in paths { #expect(FileManager.default.contents(atPath: path) == Data("the bytes".utf8)) }
        #expect(store.copies == ObjectCopies(count: 3, basis: .measured))
    }

    @Test func nothingButTheObjectAndTheMarkerStays() async throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        try await store.put("a", "1", condition: .ifAbsent)
        _ = await store.code { s throws(ObjectStoreError) in try await s.put("a", "2", condition: .ifAbsent) }
        try await store.put("a", "3")
        try await store.putMultipart("b", parts: stream([ByteBuffer(string: "4")]))
        _ = await store.code { s throws(ObjectStoreError) in
            try await s.putMultipart("c", parts: stream([ByteBuffer(string: "5")], failing: CancellationError()))
        }
        #expect(directory.files("store") == [".ninefold-object-store", "a", "b"])
    }

    @Test func noKeyLeavesTheDirectoryOrMeetsAnother() async throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        let keys = [
            "..", "../..", "../escape", "/absolute", "a//b", "a/../b", ".", "./", "a/", "a+", "a+/b", "a%", "%2E", ".temporary/x",
            ".ninefold-object-store", "new\nline", "nul\0", "ü", "u\u{308}", "A", "a", "C:\\x",
        ]
        for key in keys { try await store.put(key, "key: " + key) }
        for key in keys { #expect(try await store.text(key) == "key: " + key) }
        let sorted = keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { Array($0.utf8) }
        #expect(try await store.listAll(prefix: "").map { Array($0.key.utf8) } == sorted)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["store"])
        // The marker is still the store's own.
        _ = try open(directory)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func anyKeysListInByteOrder(seed: UInt64) async throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory)
        let random = SeededSource(seed: seed)
        // Few different bytes make keys that begin alike; repeats make parts around the length at which a part is split.
        let pieces = [
            "a", "b", "/", ".", "-", "+", "%", "é", String(repeating: "x", count: 66), String(repeating: "y", count: 199),
        ]
        var keys: Set<[UInt8]> = []
        while keys.count < 150 {
            let key = (0...random.next(below: 6)).map { _ in pieces[Int(random.next(below: UInt64(pieces.count)))] }.joined()
            if keys.insert(Array(key.utf8)).inserted { try await store.put(key, key) }
        }
        let sorted = keys.sorted { $0.lexicographicallyPrecedes($1) }
        var listed: [[UInt8]] = []
        while true {
            let page = try await store.list(
                prefix: "", startAfter: listed.last.map { String(decoding: $0, as: UTF8.self) }, maxKeys: 7)
            listed += page.objects.map { Array($0.key.utf8) }
            guard page.isTruncated else { break }
        }
        #expect(listed == sorted, "seed \(seed)")
        for prefix in ["a", "a/", "x", "y.", pieces[9], pieces[8] + pieces[8]] {
            let expected = sorted.filter { $0.starts(with: prefix.utf8) }
            #expect(
                try await store.listAll(prefix: prefix).map { Array($0.key.utf8) } == expected, "seed \(seed), prefix \(prefix)")
        }
        for key in sorted {
            let key = String(decoding: key, as: UTF8.self)
            #expect(try await store.text(key) == key)
        }
    }

    @Test func twoStoresOfOneDirectoryAgreeOnTheFirst() async throws {
        let directory = try TemporaryDirectory()
        let stores = try [open(directory, copies: 3), open(directory, copies: 3)]
        for round in 0..<10 {
            let winners = await withTaskGroup(of: Int?.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        do {
                            try await stores[writer % 2].put("lock-\(round)", "writer \(writer)", condition: .ifAbsent)
                            return writer
                        } catch { return nil }
                    }
                }
                return await group.reduce(into: [Int]()) { if let winner = $1 { $0.append(winner) } }
            }
            try #require(winners.count == 1)
            for path in stores[0].physicalPaths("lock-\(round)") {
                #expect(FileManager.default.contents(atPath: path) == Data("writer \(winners[0])".utf8))
            }
        }
    }

    @Test func manyMayOpenANewStoreAtOnce() async throws {
        for _ in 0..<5 {
            let directory = try TemporaryDirectory()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for opener in 0..<8 {
                    group.addTask { try await open(directory, copies: 3).put("from-\(opener)", "x", condition: .ifAbsent) }
                }
                try await group.waitForAll()
            }
            #expect(try await open(directory, copies: 3).listAll(prefix: "").count == 8)
        }
    }

    @Test func lostCopyIsReadAroundAndNeverWrittenAround() async throws {
        let directory = try TemporaryDirectory()
        let store = try open(directory, copies: 3)
        try await store.put("kept", "bytes")
        try FileManager.default.removeItem(atPath: directory.path + "/store/copy-0")
        #expect(try await store.text("kept") == "bytes")
        #expect(try await store.info("kept")?.size == 5)
        #expect(try await store.listAll(prefix: "").map(\.key) == ["kept"])
        #expect(await store.code { s throws(ObjectStoreError) in _ = try await s.get("none", range: nil) } == .notFound)
        do throws(ObjectStoreError) {
            try await store.put("new", "bytes")
            Issue.record("a put must write every copy")
        } catch {
            #expect(error.message == "cannot write object new: copy-0 is gone; restore it")
        }
        #expect(
            await store.code { s throws(ObjectStoreError) in try await s.put("kept", "x", condition: .ifAbsent) }
                == .preconditionFailed)
        do throws(ObjectStoreError) {
            _ = try open(directory, copies: 3)
            Issue.record("a store with a lost copy must not be opened as if it were whole")
        } catch {
            #expect(error.message.contains("copy-0 is missing while copy-1 holds objects; restore it from copy-1"))
        }
        try FileManager.default.copyItem(atPath: directory.path + "/store/copy-1", toPath: directory.path + "/store/copy-0")
        let restored = try open(directory, copies: 3)
        try await restored.put("new", "bytes")
        #expect(try await restored.listAll(prefix: "").map(\.key) == ["kept", "new"])
    }

    @Test(arguments: [(1, 3), (3, 1), (2, 3)]) func anotherNumberOfCopiesIsRefused(made: Int, opened: Int) throws {
        let directory = try TemporaryDirectory()
        _ = try open(directory, copies: made)
        do throws(ObjectStoreError) {
            _ = try open(directory, copies: opened)
            Issue.record("\(made) copies were opened as \(opened)")
        } catch {
            #expect(error.message.contains("another number of copies"))
        }
        _ = try open(directory, copies: made)
    }

    @Test func newerFormatIsRefused() throws {
        let directory = try TemporaryDirectory()
        _ = try open(directory)
        let marker = directory.path + "/store/.ninefold-object-store"
        try "ninefold object store\nversion 2\n".write(toFile: marker, atomically: false, encoding: .utf8)
        do throws(ObjectStoreError) {
            _ = try open(directory)
            Issue.record("a format we do not know was opened")
        } catch {
            #expect(error.message.contains("its format is not known to this version"))
        }
    }

    @Test func forgottenTemporaryFilesGoAfterADay() throws {
        let directory = try TemporaryDirectory()
        _ = try open(directory)
        let temporary = directory.path + "/store/.temporary/"
        let now = SystemClock().wallMilliseconds()
        for name in ["\(now - 90_000_000)-ab", "\(now)-cd", "notes"] {
            #expect(FileManager.default.createFile(atPath: temporary + name, contents: nil))
        }
        _ = try open(directory)
        #expect(directory.files("store/.temporary") == ["\(now)-cd", "notes"].sorted())
    }

    @Test func unusableDirectoryEndsInOneLine() throws {
        let directory = try TemporaryDirectory()
        #expect(FileManager.default.createFile(atPath: directory.path + "/file", contents: nil))
        do throws(ObjectStoreError) {
            _ = try ObjectStoreURL.open(
                "file://\(directory.path)/file/store", environment: .real, meters: Meters(), credentials: [:])
            Issue.record("a file was taken for a directory")
        } catch {
            #expect(error.message.hasPrefix("cannot make the object store file://\(directory.path)/file/store: "))
            #expect(!error.message.contains("\n"))
        }
    }
}
