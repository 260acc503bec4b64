//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Testing

/// What every store promises, asked of each.
@Suite struct ObjectStoreConformanceTests {
    @Test(.enabled(if: MotoServer.executable != nil, MotoServer.notFound))
    func suiteRunsOverS3Too() { #expect(Backing.available.contains(.s3)) }

    @Test(arguments: Backing.available) func returnsWhatWasStored(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            let bytes = ByteBuffer(bytes: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try await store.put("a/b/bytes", [bytes, ByteBuffer(), ByteBuffer(string: "tail")], condition: .always)
            var whole = bytes
            whole.writeString("tail")
            #expect(try await store.get("a/b/bytes", range: nil) == whole)
            try await store.put("empty", ByteBuffer())
            #expect(try await store.get("empty", range: nil).readableBytes == 0)
            #expect(try await store.info("empty")?.size == 0)
            #expect(try await store.info("a/b/bytes") == ObjectInfo(key: "a/b/bytes", size: 100_004))
        }
    }

    @Test(arguments: Backing.available) func laterPutReplaces(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            try await store.put("key", "a long first content")
            try await store.put("key", "second")
            #expect(try await store.text("key") == "second")
        }
    }

    @Test(arguments: Backing.available) func rangesAreHalfOpenAndCutAtTheEnd(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            try await store.put("digits", "0123456789")
            #expect(try await store.text("digits", range: 0..<1) == "0")
            #expect(try await store.text("digits", range: 3..<7) == "3456")
            #expect(try await store.text("digits", range: 8..<1_000) == "89")
            for range: Range<Int64> in [10..<11, 50..<60, 5..<5, -2..<3] {
                #expect(
                    await store.code { s throws(ObjectStoreError) in _ = try await s.get("digits", range: range) } == .invalidRange)
            }
        }
    }

    @Test(arguments: Backing.available) func missingObjectIsNotFound(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            #expect(await store.code { s throws(ObjectStoreError) in _ = try await s.get("none", range: nil) } == .notFound)
            #expect(await store.code { s throws(ObjectStoreError) in _ = try await s.get("none", range: 0..<5) } == .notFound)
            #expect(try await store.info("none") == nil)
            try await store.delete(["none", "none/either"])
        }
    }

    @Test(arguments: Backing.available) func conditionalPutKeepsTheFirst(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            try await store.put("epoch-1", "first", condition: .ifAbsent)
            #expect(
                await store.code { s throws(ObjectStoreError) in try await s.put("epoch-1", "second", condition: .ifAbsent) }
                    == .preconditionFailed)
            #expect(try await store.text("epoch-1") == "first")
            try await store.delete(["epoch-1"])
            try await store.put("epoch-1", "third", condition: .ifAbsent)
            #expect(try await store.text("epoch-1") == "third")
        }
    }

    @Test(arguments: Backing.available) func exactlyOneOfSixteenWritersIsFirst(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            for race in 0..<3 {
                let winners = try await withThrowingTaskGroup(of: Int?.self) { group in
                    for writer in 0..<16 {
                        group.addTask {
                            do throws(ObjectStoreError) {
                                try await store.put("race-\(race)", "writer \(writer)", condition: .ifAbsent)
                                return writer
                            } catch {
                                guard error.code == .preconditionFailed else { throw error }
                                return nil
                            }
                        }
                    }
                    return try await group.reduce(into: []) { if let winner = $1 { $0.append(winner) } }
                }
                try #require(winners.count == 1)
                #expect(try await store.text("race-\(race)") == "writer \(winners[0])")
            }
        }
    }

    @Test(arguments: Backing.available) func listsInByteOrder(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            // `-` and `.` come before `/`, which comes before digits.
            let keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0", "b", "B", "ä", "z+z", "z z", "z%2F", "z=z&z", "z~"]
            for key in keys { try await store.put(key, key) }
            let sorted = keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            #expect(try await store.listAll(prefix: "").map(\.key) == sorted)
            #expect(try await store.listAll(prefix: "a").map(\.key) == ["a", "a-b", "a.b", "a/b", "a/b/c", "a0"])
            #expect(try await store.listAll(prefix: "a/").map(\.key) == ["a/b", "a/b/c"])
            #expect(try await store.listAll(prefix: "a/b").map(\.size) == [3, 5])
            #expect(try await store.listAll(prefix: "nothing").isEmpty)
            for key in keys { #expect(try await store.text(key) == key) }
        }
    }

    @Test(arguments: Backing.available) func listsPageByPage(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            let keys = ["p/1", "p/2", "p/3/x", "p/3/y", "p/4"]
            for key in keys + ["o", "q"] { try await store.put(key, "") }
            var seen: [String] = []
            var pages = 0
            while true {
                let page = try await store.list(prefix: "p/", startAfter: seen.last, maxKeys: 2)
                seen += page.objects.map(\.key)
                pages += 1
                guard page.isTruncated else { break }
                #expect(page.objects.count == 2)
            }
            #expect(seen == keys)
            #expect(pages == 3)
            #expect(
                try await store.list(prefix: "p/", startAfter: "p/3", maxKeys: 10).objects.map(\.key) == ["p/3/x", "p/3/y", "p/4"])
            #expect(try await store.list(prefix: "p/", startAfter: "p/3/x", maxKeys: 10).objects.map(\.key) == ["p/3/y", "p/4"])
            #expect(try await store.list(prefix: "p/", startAfter: "z", maxKeys: 10).objects.isEmpty)
            let none = try await store.list(prefix: "p/", startAfter: nil, maxKeys: 0)
            #expect(none.objects.isEmpty && none.isTruncated)
        }
    }

    @Test(arguments: Backing.available) func deletesWhatIsThere(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            let keys = ["d/1", "d/2 & <3>", "d/4/5"]
            for key in keys + ["d/kept"] { try await store.put(key, "x") }
            try await store.delete(keys + ["d/never"])
            #expect(try await store.listAll(prefix: "d/").map(\.key) == ["d/kept"])
            try await store.delete(["d/kept"])
            try await store.delete([])
            #expect(try await store.info("d/kept") == nil)
        }
    }

    @Test(arguments: Backing.available) func partsBecomeOneObjectWhenAllAreThere(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            let part = ByteBuffer(repeating: UInt8(ascii: "p"), count: 5 << 20)
            try await store.putMultipart("large", parts: stream([part, part, ByteBuffer(string: "end")]))
            #expect(try await store.info("large")?.size == (10 << 20) + 3)
            #expect(try await store.text("large", range: ((10 << 20) - 2)..<(10 << 20) + 3) == "ppend")
            try await store.putMultipart("nothing", parts: stream([]))
            #expect(try await store.info("nothing")?.size == 0)

            struct SourceFailed: Error {}
            #expect(
                await store.code { s throws(ObjectStoreError) in
                    try await s.putMultipart("broken", parts: stream([part], failing: SourceFailed()))
                } == .other)
            #expect(
                await store.code { s throws(ObjectStoreError) in
                    try await s.putMultipart("broken", parts: stream([ByteBuffer(string: "small"), part]))
                } == .unsupported)
            #expect(try await store.listAll(prefix: "").map(\.key) == ["large", "nothing"])
        }
    }

    @Test(arguments: Backing.available) func cancelledUploadLeavesNothing(_ backing: Backing) async throws {
        try await backing.withStore { store, meters in
            let (parts, source) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
            source.yield(ByteBuffer(repeating: 1, count: 5 << 20))
            let upload = Task { try await store.putMultipart("half", parts: parts) }
            while meters.network[.objectPut]!.value < 5 << 20 { try await Task.sleep(for: .milliseconds(1)) }
            upload.cancel()
            await #expect(throws: ObjectStoreError.self) { try await upload.value }
            #expect(try await store.listAll(prefix: "").isEmpty)
        }
    }

    @Test(arguments: Backing.available) func refusesKeysThatS3Refuses(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            for key in ["", String(repeating: "k", count: 1_025)] {
                #expect(await store.code { s throws(ObjectStoreError) in try await s.put(key, "") } == .unsupported)
                #expect(await store.code { s throws(ObjectStoreError) in try await s.delete([key]) } == .unsupported)
            }
            let long = String(repeating: "long/", count: 100) + String(repeating: "k", count: 400)
            try await store.put(long, "x")
            #expect(try await store.listAll(prefix: "long/").map(\.key) == [long])
        }
    }

    @Test(arguments: Backing.available) func countsRequestsAndBytesWhereTheyAreSent(_ backing: Backing) async throws {
        try await backing.withStore { store, meters in
            try await store.put("k/1", "12345", condition: .ifAbsent)
            _ = await store.code { s throws(ObjectStoreError) in try await s.put("k/1", "67", condition: .ifAbsent) }
            try await store.put("k/2", "890")
            _ = try await store.get("k/1", range: 1..<3)
            #expect(meters.network[.objectPut]!.value == 10)
            #expect(meters.network[.objectGet]!.value == 2 + (backing.isRemote ? errorBytes(meters) : 0))
            _ = try await store.info("k/1")
            _ = try await store.list(prefix: "", startAfter: nil, maxKeys: 10)
            try await store.delete(["k/1", "k/2"])
            let part = ByteBuffer(repeating: 7, count: 5 << 20)
            try await store.putMultipart("m", parts: stream([part, ByteBuffer(string: "z")]))
            let counts = ObjectRequest.allCases.map { meters.objectRequests[$0]!.value }
            #expect(counts == [3, 1, 1, 1, 1, 4])
            #expect(meters.objectRequestErrors.value == 0)
            // 5 MiB + 1 + 3 + 5 bytes in every copy that is ours; the loser of the race writes nothing.
            #expect(meters.bytesWritten[.object]!.value == (backing.isRemote ? 0 : Int64(backing.copies) * ((5 << 20) + 9)))
        }
    }

    /// An endpoint explains a failed condition in bytes that come over the wire too.
    private func errorBytes(_ meters: Meters) -> Int64 { meters.network[.objectGet]!.value - 2 }

    @Test(arguments: Backing.available) func bytesOnMediaAreCountedOrDeclared(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            try await store.put("x/1", ByteBuffer(repeating: 1, count: 8_192))
            try await store.put("x/2", ByteBuffer(repeating: 2, count: 100_000))
            try await store.put("y", ByteBuffer(repeating: 3, count: 4_096))
            let held = try await store.physicalBytes(prefix: "x/")
            #expect(held.objects == 2)
            if backing.isRemote {
                #expect(held.basis == .declared)
                #expect(held.bytes == 3 * 108_192)
                #expect(store.physicalPaths("x/1").isEmpty)
            } else {
                #expect(held.basis == .measured)
                // Whole blocks, at most one more than the bytes need in each file.
                #expect(held.bytes >= Int64(backing.copies) * 108_192)
                #expect(held.bytes <= Int64(backing.copies) * (108_192 + 2 * 65_536))
                #expect(store.physicalPaths("x/1").count == backing.copies)
            }
        }
    }

    @Test(arguments: Backing.available) func passesTheProbe(_ backing: Backing) async throws {
        try await backing.withStore { store, _ in
            try await ObjectStoreProbe.check(store, environment: .real)
            #expect(try await store.listAll(prefix: "").isEmpty)
        }
    }
}
