//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition {
    /// Takes the role that `assignment` gives this broker. On the volume's writer, so every append queued before is written.
    ///
    /// - Returns: The leader to follow, nil for none.
    func take(_ assignment: PartitionAssignment, _ configuration: LogConfiguration) throws(SegmentError) -> BrokerID? {
        log.settings = SegmentSettings(configuration)
        let isStale = state.withLock { state in
            if assignment.partitionEpoch >= state.assignment.partitionEpoch { state.configuration = configuration }
            return assignment.partitionEpoch <= state.assignment.partitionEpoch
        }
        if isStale { return leaderToFollow }
        if assignment.leader == context.broker {
            try lead(assignment)
            return nil
        }
        follow(assignment)
        return assignment.leader
    }

    var leaderToFollow: BrokerID? {
        state.withLock { state in
            guard case .follower(let following) = state.role else { return nil }
            return following.leader
        }
    }

    private func lead(_ assignment: PartitionAssignment) throws(SegmentError) {
        let now = context.environment.clock.now()
        var completions = Completions()
        // A leader that stays, under a new epoch, loses no append: what was given offsets under the old one is written under it.
        for attempt in 1...Self.handoverAttempts {
            writeQueue()
            let isDone = state.withLock { state in
                if !state.queue.isEmpty {
                    guard attempt == Self.handoverAttempts else { return false }
                    failAppends(.notLeader(partition), &state, &completions)
                }
                state.assignment = assignment
                state.copies = state.copies.filter { assignment.addingReplicas.contains($0.key) }
                if case .leader(var leader) = state.role, leader.leaderEpoch == assignment.leaderEpoch {
                    leader.adopt(assignment, at: now)
                    state.role = .leader(leader)
                } else {
                    state.nextOffset = log.logEnd
                    state.producers = log.producers
                    state.role = .leader(
                        LeaderState(broker: context.broker, assignment: assignment, epochStart: log.logEnd, at: now))
                }
                advanceHighWatermark(&state, leaderEnd: log.logEnd, &completions)
                return true
            }
            if isDone { break }
        }
        // Nothing of the new epoch can have been written yet: this is the writer.
        do throws(SegmentError) { try log.beginEpoch(assignment.leaderEpoch) } catch {
            context.logger.warning(
                "leader epoch not stored, to be stored with the next",
                metadata: ["partition": "\(partition)", "epoch": "\(assignment.leaderEpoch)", "error": "\(error)"])
            context.failed(volume, error, isWriting: true)
        }
        completions.run()
        tellProgress()
    }

    /// Appends that come between writing and changing the epoch make it be tried again.
    private static var handoverAttempts: Int { 16 }

    private func follow(_ assignment: PartitionAssignment) {
        var completions = Completions()
        state.withLock { state in
            state.assignment = assignment
            state.copies = [:]
            failAppends(.notLeader(partition), &state, &completions)
            state.role = .follower(
                Following(leader: assignment.leader, leaderEpoch: assignment.leaderEpoch, leaderHighWatermark: state.highWatermark))
        }
        completions.run()
        tellProgress()
    }

    /// The log directory failed: nothing is led or followed here any more, and every caller is told why.
    func goOffline(_ error: SegmentError) {
        var completions = Completions()
        state.withLock { state in
            let failure = LogError(error, partition)
            state.failure = failure
            failAppends(failure, &state, &completions)
            state.role = .idle
        }
        completions.run()
        tellProgress()
    }

    /// Lets go of the partition: its files belong to somebody else, or to nobody, from here on. On the volume's writer.
    func letGo() {
        var completions = Completions()
        state.withLock { state in
            failAppends(.notLeader(partition), &state, &completions)
            state.role = .idle
        }
        log.abandon()
        completions.run()
        tellProgress()
    }
}

extension SegmentSettings {
    init(_ configuration: LogConfiguration) {
        self.init()
        segmentBytes = configuration.segmentBytes
        segmentAge = configuration.segmentAge
        indexIntervalBytes = configuration.indexIntervalBytes
        segmentIndexBytes = configuration.segmentIndexBytes
        fileDeleteDelay = configuration.fileDeleteDelay
    }
}
