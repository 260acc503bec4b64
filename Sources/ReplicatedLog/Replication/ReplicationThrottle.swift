//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import RuntimeEnvironment
internal import Synchronization

/// Bytes per second that may pass (KIP-73), by a credit that grows with time and that traffic uses up. What passes is charged once it has,
/// so the credit may become a debt, which time pays: over a while the rate holds, whatever the size of one answer. Knows no clock.
package struct ReplicationThrottle: Sendable {
    /// nil for no bound.
    package private(set) var bytesPerSecond: Int64?
    /// At most what one second gives.
    private var credit: Double = 0
    private var creditedAt: MonotonicInstant?

    package init(bytesPerSecond: Int64? = nil) { self.bytesPerSecond = bytesPerSecond }

    /// A new bound. A debt made under the old one is not held against the new.
    package mutating func set(_ bytesPerSecond: Int64?) {
        guard bytesPerSecond != self.bytesPerSecond else { return }
        self = ReplicationThrottle(bytesPerSecond: bytesPerSecond)
    }

    package mutating func charge(_ bytes: Int, at now: MonotonicInstant) {
        guard bytesPerSecond != nil else { return }
        grow(now)
        credit -= Double(bytes)
    }

    /// How long nothing more may pass; zero if something may now. Nothing ever passes a bound of 0.
    package mutating func wait(at now: MonotonicInstant) -> Duration {
        guard let bytesPerSecond else { return .zero }
        grow(now)
        guard bytesPerSecond > 0 else { return .seconds(1) }
        return credit > 0 ? .zero : max(.milliseconds(1), .seconds(min(3600, -credit / Double(bytesPerSecond))))
    }

    private mutating func grow(_ now: MonotonicInstant) {
        guard let bytesPerSecond else { return }
        let rate = Double(bytesPerSecond)
        if let last = creditedAt {
            credit = min(rate, credit + rate * max(0, (now - last) / .seconds(1)))
        } else {
            credit = rate
        }
        creditedAt = now
    }
}

/// A broker's two throttles: `leader.replication.throttled.rate` for what its leaders send, `follower.replication.throttled.rate` for what
/// its followers fetch. Shared by all engines of a broker.
public final class ReplicationThrottles: Sendable {
    private let leader = Mutex(ReplicationThrottle())
    private let follower = Mutex(ReplicationThrottle())

    public init() {}

    /// - Parameters: Bytes per second; nil for no bound.
    public func set(leader leaderRate: Int64?, follower followerRate: Int64?) {
        leader.withLock { $0.set(leaderRate) }
        follower.withLock { $0.set(followerRate) }
    }

    public var leaderBytesPerSecond: Int64? { leader.withLock { $0.bytesPerSecond } }
    public var followerBytesPerSecond: Int64? { follower.withLock { $0.bytesPerSecond } }

    func chargeLeader(_ bytes: Int, at now: MonotonicInstant) { leader.withLock { $0.charge(bytes, at: now) } }
    func chargeFollower(_ bytes: Int, at now: MonotonicInstant) { follower.withLock { $0.charge(bytes, at: now) } }
    func leaderWait(at now: MonotonicInstant) -> Duration { leader.withLock { $0.wait(at: now) } }
    func followerWait(at now: MonotonicInstant) -> Duration { follower.withLock { $0.wait(at: now) } }
}
