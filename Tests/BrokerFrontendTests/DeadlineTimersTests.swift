//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

@Suite struct DeadlineTimersTests {
    private final class Fired: Sendable {
        private let numbers = Mutex<[Int]>([])
        func note(_ number: Int) { numbers.withLock { $0.append(number) } }
        var all: [Int] { numbers.withLock { $0 } }
    }

    @Test func deadlinesCalledOffDoNotPileUp() {
        let clock = SimulatedClock()
        let timers = DeadlineTimers(clock: clock)
        let fired = Fired()
        for number in 0..<10_000 {
            timers.cancel(timers.schedule(at: clock.now() + .seconds(30)) { fired.note(number) })
        }
        #expect(timers.queuedCount < 1_000)
        timers.stop()
        #expect(fired.all.isEmpty)
    }

    @Test func deadlinesFireInTheirOrderAndCancelledOnesDoNot() async {
        let clock = SimulatedClock()
        let timers = DeadlineTimers(clock: clock)
        let fired = Fired()
        let order = [5, 3, 9, 1, 7, 2, 8, 4, 6]
        var handles: [Int: DeadlineTimers.Handle] = [:]
        for number in order {
            handles[number] = timers.schedule(at: clock.now() + .milliseconds(number)) { fired.note(number) }
        }
        #expect(timers.cancel(handles[4]!))
        for _ in 0..<9 {
            await eventually { clock.sleeperCount > 0 || fired.all.count == 8 }
            clock.advance(by: .milliseconds(1))
        }
        await eventually { fired.all.count == 8 }
        #expect(fired.all == [1, 2, 3, 5, 6, 7, 8, 9])
        #expect(!timers.cancel(handles[1]!))
    }

    @Test func anEarlierDeadlineSetLaterStillComesFirst() async {
        let clock = SimulatedClock()
        let timers = DeadlineTimers(clock: clock)
        let fired = Fired()
        timers.schedule(at: clock.now() + .seconds(100)) { fired.note(100) }
        await eventually { clock.sleeperCount == 1 }
        timers.schedule(at: clock.now() + .seconds(1)) { fired.note(1) }
        await eventually { clock.sleeperCount == 1 }
        clock.advance(by: .seconds(1))
        await eventually { fired.all == [1] }
        await eventually { clock.sleeperCount == 1 }
        clock.advance(by: .seconds(99))
        await eventually { fired.all == [1, 100] }
    }

    @Test func aDeadlineInThePastFiresAtOnce() async {
        let clock = SimulatedClock()
        let timers = DeadlineTimers(clock: clock)
        let fired = Fired()
        timers.schedule(at: clock.now()) { fired.note(0) }
        await eventually { fired.all == [0] }
    }

    @Test func whatWaitsEndsWithTheTimers() {
        let clock = SimulatedClock()
        let timers = DeadlineTimers(clock: clock)
        let fired = Fired()
        timers.schedule(at: clock.now() + .seconds(2)) { fired.note(1) }
        timers.schedule(at: clock.now() + .seconds(1)) { fired.note(2) }
        timers.stop()
        timers.schedule(at: clock.now() + .seconds(3)) { fired.note(3) }
        #expect(fired.all == [1, 2, 3])
    }
}
