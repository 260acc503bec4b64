//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition {
    /// Whether the leader's throttle is for what this follower fetches: only replicas out of sync are held back (KIP-73).
    func isThrottled(_ follower: BrokerID, _ state: State) -> Bool {
        state.configuration.leaderThrottledReplicas.contains(partition.partition, on: context.broker.rawValue)
            && !state.assignment.inSyncReplicas.contains(follower)
    }

    /// A throttled follower gets no records now.
    var isLeaderThrottleUsedUp: Bool { context.settings.throttles.leaderWait(at: context.environment.clock.now()) > .zero }

    /// The replicas being added, if this broker leads.
    var copies: [ReplicaCopy] {
        let now = context.environment.clock.now()
        return state.withLock { state in
            guard case .leader(let leader) = state.role else { return [] }
            return state.assignment.addingReplicas.filter { $0 != context.broker }.map { replica in
                let meter = state.copies[replica]
                let rates = meter?.rates(at: now)
                let number = partition.partition
                return ReplicaCopy(
                    partition: partition, replica: replica, copiedBytes: meter?.copiedBytes ?? 0,
                    remainingBytes: bytes(from: leader.logEnd(of: replica) ?? .zero), copiedBytesPerSecond: rates?.copied,
                    ingestedBytesPerSecond: rates?.ingested,
                    isThrottledAtLeader: state.configuration.leaderThrottledReplicas.contains(number, on: context.broker.rawValue),
                    isThrottledAtFollower: state.configuration.followerThrottledReplicas.contains(number, on: replica.rawValue))
            }
        }
    }

    /// Bytes of the log at and above `offset`: whole segments as they are, of the one that holds it a share by its offsets.
    func bytes(from offset: Offset) -> Int64 {
        let segments = log.segments
        var end = log.logEnd
        var bytes: Int64 = 0
        for segment in segments.reversed() {
            if segment.baseOffset >= offset {
                bytes += segment.size
            } else {
                let span = end.rawValue - segment.baseOffset.rawValue
                let above = end.rawValue - offset.rawValue
                if span > 0, above > 0 { bytes += Int64(Double(segment.size) * Double(above) / Double(span)) }
                break
            }
            end = segment.baseOffset
        }
        return bytes
    }
}

extension ReplicatedLogEngine {
    /// Every replica that is being added to a partition led here.
    public var copies: [ReplicaCopy] { context.registry.applied.flatMap(\.copies) }
}
