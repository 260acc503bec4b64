//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

@Suite struct TaskLoopTests {
    /// Four tasks that sleep, hop and use workers, and the order in which they did.
    private func course(_ seed: UInt64) throws -> (order: [Int], digest: UInt64) {
        let clock = SimulatedClock()
        return try TaskLoop.run(seed: seed, clock: clock) { loop in
            let order = Order()
            let worker = loop.workers.makeWorker(named: "one")
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<4 {
                    group.addTask {
                        for step in 0..<3 {
                            order.add(number * 10 + step)
                            if step == 0 { await worker.run { order.add(100 + number) } }
                            try? await clock.sleep(for: .milliseconds(Int64(number)))
                        }
                    }
                }
            }
            return (order.numbers, loop.digest)
        }
    }

    @Test func aSeedDecidesTheOrder() throws {
        let courses = try (1...20).map { try course(UInt64($0)) }
        for (index, first) in courses.enumerated() {
            let again = try course(UInt64(index + 1))
            #expect(again.order == first.order)
            #expect(again.digest == first.digest)
        }
        #expect(Set(courses.map(\.order)).count > 10)
    }

    @Test func timeStandsStillWhileAnybodyIsReady() throws {
        let clock = SimulatedClock()
        let start = clock.now()
        let slept = try TaskLoop.run(seed: 1, clock: clock) { _ in
            for _ in 0..<100 { await Task {}.value }
            let before = clock.now() - start
            try await clock.sleep(for: .seconds(5))
            return (before, clock.now() - start)
        }
        #expect(slept == (.zero, .seconds(5)))
    }

    /// Four tasks of which two block under one lock, and the order of what they did.
    private func blockingCourse(_ seed: UInt64) throws -> [Int] {
        let clock = SimulatedClock()
        return try TaskLoop.run(seed: seed, clock: clock) { loop in
            let order = Order()
            let room = Room()
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<2 {
                    group.addTask {
                        for _ in 0..<3 {
                            room.enter { count in
                                order.add(count)
                                loop.block(for: .milliseconds(5))
                            }
                            try? await clock.sleep(for: .milliseconds(1))
                        }
                    }
                    group.addTask {
                        for step in 0..<10 {
                            order.add(10 * (number + 1) + step)
                            try? await clock.sleep(for: .milliseconds(1))
                        }
                    }
                }
            }
            return order.numbers
        }
    }

    @Test func othersGoOnWhileAJobBlocksAndItsLockIsWaitedFor() throws {
        for seed in UInt64(1)...20 {
            let order = try blockingCourse(seed)
            #expect(order.filter { $0 < 10 } == [1, 1, 1, 1, 1, 1], "never two at once under the lock")
            let first = try #require(order.firstIndex(of: 1))
            let second = try #require(order[(first + 1)...].firstIndex(of: 1))
            #expect(second - first > 3, "others went on while the first blocked: \(order)")
            #expect(try blockingCourse(seed) == order)
        }
    }

    @Test func aRunEndsWhileJobsBlock() throws {
        let clock = SimulatedClock()
        let blocked = try TaskLoop.run(seed: 1, clock: clock) { loop in
            let room = Room()
            for _ in 0..<5 { Task { room.enter { _ in loop.block(for: .seconds(60)) } } }
            try await clock.sleep(for: .seconds(1))
            return loop.blockedCount
        }
        #expect(blocked == 5)
    }

    @Test func aRunInWhichAllWaitIsNamed() {
        #expect(throws: TaskLoop.Stuck.self) {
            try TaskLoop.run(seed: 1, clock: SimulatedClock()) { _ in
                await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
            }
        }
    }
}

private final class Order: Sendable {
    private let state = Mutex<[Int]>([])
    var numbers: [Int] { state.withLock { $0 } }
    func add(_ number: Int) { state.withLock { $0.append(number) } }
}

/// Who is in it, under a lock.
private final class Room: Sendable {
    private let count = Mutex(0)
    func enter(_ body: (Int) -> Void) {
        count.withLock { count in
            count += 1
            body(count)
            count -= 1
        }
    }
}
