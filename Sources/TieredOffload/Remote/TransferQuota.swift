//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import RuntimeEnvironment
internal import Synchronization

/// How many bytes a second may go to the tier, or come from it (KIP-956), over a sliding window.
public struct TransferLimit: Sendable, Hashable {
    /// nil for no limit.
    public var bytesPerSecond: Int64?
    /// Windows looked back over, the current one included (`...quota.window.num`).
    public var windows = 11
    /// `...quota.window.size.seconds`
    public var windowLength: Duration = .seconds(1)

    public init(bytesPerSecond: Int64? = nil) { self.bytesPerSecond = bytesPerSecond }
}

/// What has been transferred in the last windows. As in Kafka a transfer is admitted whole while the rate is below the limit, and
/// counted at once; the next waits until the windows that hold it have passed far enough.
package struct TransferQuota: Sendable {
    private struct Window {
        var start: MonotonicInstant
        var bytes: Int64
    }

    private var limit: TransferLimit
    /// Oldest first, none older than all windows together.
    private var windows: [Window] = []

    package init(_ limit: TransferLimit) { self.limit = limit }

    /// What was transferred without a limit is not counted afterwards; nil for none.
    package mutating func set(bytesPerSecond: Int64?) {
        limit.bytesPerSecond = bytesPerSecond
        if bytesPerSecond == nil { windows = [] }
    }

    /// How long a transfer that is asked for at `now` has to wait; zero if it may begin.
    package mutating func delay(at now: MonotonicInstant) -> Duration {
        guard let bytesPerSecond = limit.bytesPerSecond else { return .zero }
        let span = limit.windowLength * limit.windows
        windows.removeAll { now - $0.start >= span }
        guard let first = windows.first else { return .zero }
        let bytes = windows.reduce(0) { $0 + $1.bytes }
        // Kafka's rate: a beginning counts as all windows but the current one.
        let elapsed = max(now - first.start, limit.windowLength * (limit.windows - 1))
        let excess = Double(bytes) / elapsed.inSeconds - Double(bytesPerSecond)
        guard excess > 0 else { return .zero }
        return max(.milliseconds(1), min(span, .seconds(excess / Double(bytesPerSecond) * elapsed.inSeconds)))
    }

    package mutating func note(_ bytes: Int64, at now: MonotonicInstant) {
        guard limit.bytesPerSecond != nil else { return }
        if let last = windows.last, now - last.start < limit.windowLength {
            windows[windows.count - 1].bytes += bytes
        } else {
            windows.append(Window(start: now, bytes: bytes))
        }
    }
}

/// The quota of a broker, over all its partitions.
final class TransferGate: Sendable {
    private let quota: Mutex<TransferQuota>
    private let clock: any Clock

    init(_ limit: TransferLimit, clock: any Clock) {
        quota = Mutex(TransferQuota(limit))
        self.clock = clock
    }

    func set(bytesPerSecond: Int64?) { quota.withLock { $0.set(bytesPerSecond: bytesPerSecond) } }

    /// Zero if a transfer may begin now; nothing is counted.
    func delay() -> Duration { quota.withLock { $0.delay(at: clock.now()) } }

    /// Counts a transfer.
    func note(_ bytes: Int64) { quota.withLock { $0.note(bytes, at: clock.now()) } }

    /// Admits a transfer of `bytes` and counts it.
    ///
    /// - Returns: nil if it may begin, else how long it has to wait, and then nothing is counted.
    func admit(_ bytes: Int64) -> Duration? {
        quota.withLock { quota in
            let now = clock.now()
            let delay = quota.delay(at: now)
            guard delay == .zero else { return delay }
            quota.note(bytes, at: now)
            return nil
        }
    }
}
