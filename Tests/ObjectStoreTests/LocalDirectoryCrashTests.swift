//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

@Suite struct LocalDirectoryCrashTests {
    private func open(_ disk: SimulatedDisk, _ world: SimulatedWorld, copies: Int) throws(ObjectStoreError) -> LocalDirectoryStore {
        try LocalDirectoryStore(
            url: "file:///simulated", disk: disk, copies: copies, environment: world.environment, meters: Meters(), workerCount: 1)
    }

    private struct Violation: Error { var description: String }

    /// What a key may hold: one content for certain, or any of several while the last answer is open. nil: no object.
    private typealias Expected = [String: [String?]]

    @Test(arguments: [1, 3]) func acknowledgedObjectsSurviveAPowerCutAndNoneIsTorn(copies: Int) async throws {
        try await SimulatedWorld.forEachSeed(0..<150) { world in
            let random = world.randomness.fork("test")
            var disk = world.disk(of: 0)
            var expected: Expected = [:]
            for round in 0..<3 {
                // Some calls from now the power goes.
                let callsLeft = Mutex(Int(random.next(below: 80)) + (round == 0 ? 10 : 0))
                disk.setFault { _ in
                    callsLeft.withLock { left in
                        left -= 1
                        return left < 0 ? .inputOutput : nil
                    }
                }
                do throws(ObjectStoreError) {
                    try await work(try open(disk, world, copies: copies), random, round, &expected)
                } catch {
                    guard callsLeft.withLock({ $0 < 0 }) else { throw error }
                }
                disk.setFault(nil)
                disk = disk.crash(.powerCut)
                try await verify(try open(disk, world, copies: copies), &expected)
            }
        }
    }

    /// Puts and deletes until something fails.
    private func work(
        _ store: LocalDirectoryStore, _ random: SeededRandomSource, _ round: Int, _ expected: inout Expected
    ) async throws(ObjectStoreError) {
        for step in 0..<30 {
            let key = ["a", "d/a", "d/b", "d/e/c"][Int(random.next(below: 4))]
            let before = expected[key] ?? [nil]
            let content = "round \(round), step \(step) " + String(repeating: "x", count: Int(random.next(below: 10_000)))
            let kind = random.next(below: 3)
            expected[key] = before + [kind == 0 ? nil : content]
            do throws(ObjectStoreError) {
                switch kind {
                case 0:
                    try await store.delete([key])
                    expected[key] = [nil]
                case 1:
                    try await store.put(key, content)
                    expected[key] = [content]
                default:
                    try await store.put(key, content, condition: .ifAbsent)
                    expected[key] = [content]
                }
            } catch {
                guard error.code == .preconditionFailed else { throw error }
                expected[key] = before
            }
        }
    }

    private func verify(_ store: LocalDirectoryStore, _ expected: inout Expected) async throws {
        for (key, contents) in expected {
            var held: String?
            do throws(ObjectStoreError) { held = try await store.text(key) } catch {
                guard error.code == .notFound else { throw error }
            }
            guard contents.contains(held) else {
                throw Violation(
                    description:
                        "\(key) holds \(held.map { "\"\($0.prefix(30))\", \($0.utf8.count) bytes" } ?? "nothing"); it may hold "
                        + contents.map { $0.map { "\"\($0.prefix(30))\", \($0.utf8.count) bytes" } ?? "nothing" }.joined(
                            separator: " or "))
            }
            // From here on it stays.
            expected[key] = [held]
            let listed = try await store.listAll(prefix: "").map(\.key).contains(key)
            guard listed == (held != nil) else { throw Violation(description: "the listing of \(key) contradicts its get") }
        }
    }

    @Test(arguments: [1, 3]) func failedSyncMakesNoObject(copies: Int) async throws {
        let world = SimulatedWorld(seed: 1)
        let disk = world.disk(of: 0)
        let store = try open(disk, world, copies: copies)
        for last in 0..<copies {
            let syncs = Mutex(0)
            disk.setFault { operation in
                guard operation.kind == .synchronize else { return nil }
                return syncs.withLock { count in
                    count += 1
                    return count == last + 1 ? .inputOutput : nil
                }
            }
            #expect(
                await store.code { s throws(ObjectStoreError) in try await s.put("key", "bytes", condition: .ifAbsent) } == .other)
            #expect(try await store.info("key") == nil)
        }
        disk.setFault(nil)
        try await store.put("key", "bytes", condition: .ifAbsent)
        #expect(try await store.text("key") == "bytes")
    }

    @Test(arguments: [1, 3]) func fullDiskLosesNothingAndFreedSpaceResumes(copies: Int) async throws {
        let world = SimulatedWorld(seed: 2)
        let disk = world.disk(of: 0)
        let store = try open(disk, world, copies: copies)
        let block = ByteBuffer(repeating: 7, count: 64 << 10)
        try await store.put("kept", block)
        let taken = try await store.physicalBytes(prefix: "").bytes
        disk.setCapacity(taken + 80 << 10)
        var stored: [String] = []
        while true {
            do throws(ObjectStoreError) {
                try await store.put("more-\(stored.count)", block)
                stored.append("more-\(stored.count)")
            } catch {
                #expect(error.code == .noSpace)
                #expect(error.message.contains("no space left"))
                break
            }
        }
        #expect(try await store.listAll(prefix: "").map(\.key) == ["kept"] + stored)
        #expect(try await store.get("kept", range: nil) == block)
        try await store.delete(["kept"])
        try await store.put("kept", block)
    }

    @Test func unreadableCopyIsReadAround() async throws {
        let world = SimulatedWorld(seed: 3)
        let disk = world.disk(of: 0)
        let store = try open(disk, world, copies: 3)
        try await store.put("key", "bytes")
        disk.setFault { $0.path == "copy-0/key" ? .inputOutput : nil }
        #expect(try await store.text("key") == "bytes")
        disk.setFault { $0.path.hasSuffix("/key") ? .inputOutput : nil }
        do throws(ObjectStoreError) {
            _ = try await store.get("key", range: nil)
            Issue.record("read from nowhere")
        } catch {
            #expect(error.code == .other)
            #expect(error.message.contains("copy-0/key"))
        }
    }
}
