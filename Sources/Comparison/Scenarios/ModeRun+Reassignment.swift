//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import LogModel
internal import RuntimeEnvironment

extension ModeRun {
    /// Seconds: a move's end is seen by two polls, each some 2 ms of pause and a round trip.
    private static let pollingResolution = 0.005

    /// A broker joins, and one partition after another, of rising size, moves its leader to it under a live producer.
    func reassignment() async throws -> ReassignmentResult {
        let source = BrokerID(1), newcomer = BrokerID(Int32(plan.brokers + 1))
        let others = (2...max(2, plan.brokers)).map { BrokerID(Int32($0)) }
        let topics = plan.movedPartitionBytes.map { "move-\($0 >> 20)-mib" }
        for (topic, bytes) in zip(topics, plan.movedPartitionBytes) {
            let replicas = isShared ? [source] : [source] + others.prefix(plan.replicationFactor - 1)
            try await createTopic(topic, partitions: 1, segmentBytes: plan.movedSegmentBytes, assignments: [replicas])
            progress("\(mode): filling a partition with \(Format.bytes(Double(bytes)))")
            let outcome = try await load.run(
                .fill(
                    FillLoad(
                        topic: topic, partition: 0, bytes: bytes, recordBytes: plan.recordBytes,
                        compressibleTo: plan.compressibleTo,
                        acks: -1, seed: plan.seed)), bootstrap: cluster.bootstrap)
            guard case .fill = outcome else { throw unexpected(outcome) }
        }
        // What a mode offloads behind the writer's back is offloaded before the move, as it would be in a running cluster.
        try await cluster.settle()
        progress("\(mode): broker \(newcomer) joins")
        try await cluster.restart(newcomer.rawValue)

        var runs: [ReassignmentResult.Run] = []
        for (topic, bytes) in zip(topics, plan.movedPartitionBytes) {
            let target = isShared ? [newcomer] : [newcomer] + others.prefix(plan.replicationFactor - 1)
            let run = try await move(topic, bytes: bytes, to: target)
            progress(
                "\(mode): moved \(Format.bytes(Double(bytes))) in \(Format.seconds(run.seconds)), \(Format.bytes(run.bytesMoved)) copied, client gap \(run.clientGapSeconds.map(Format.seconds) ?? "not measured")"
            )
            runs.append(run)
        }
        let fit = LineFit(runs.map { ($0.logicalBytes / 1_073_741_824, $0.seconds) }, resolution: Self.pollingResolution)
        let ingest = plan.probeRecordsPerSecond * Double(plan.recordBytes)
        return ReassignmentResult(
            runs: runs,
            fit: fit.map { .init(fixedSeconds: $0.intercept, secondsPerGiB: $0.slope, secondsPerGiBError: $0.slopeError) },
            throttled: runs.map { run in
                let speed = plan.throttleBytesPerSecond - ingest
                // What does not go through replication is not held back by its throttle.
                let copies = !isShared
                return .init(
                    throttleBytesPerSecond: plan.throttleBytesPerSecond, logicalBytes: run.logicalBytes, bytesMoved: run.bytesMoved,
                    seconds: !copies ? run.seconds : speed > 0 ? max(run.bytesMoved / speed, run.seconds) : nil, basis: "computed")
            })
    }

    private func move(_ topic: String, bytes: Int64, to target: [BrokerID]) async throws -> ReassignmentResult.Run {
        let probe = "probe-\(topic)"
        let started = try await load.run(
            .startProbe(
                ProbeLoad(
                    name: probe, topic: topic, partition: 0, recordsPerSecond: plan.probeRecordsPerSecond,
                    recordBytes: plan.recordBytes,
                    compressibleTo: plan.compressibleTo, acks: -1, seed: plan.seed)), bootstrap: cluster.bootstrap)
        guard case .probeStarted = started else { throw unexpected(started) }
        try await Task.sleep(for: .milliseconds(300))
        let before = try await cluster.counters()

        let clock = ContinuousClock()
        let asked = clock.now
        try await client.alterPartitionReassignments(topic: topic, [0: target])
        let accepted = clock.now
        var phases = [Phase(name: "accepted", seconds: (accepted - asked).inSeconds)]
        var inSync: ContinuousClock.Instant?
        var switched: ContinuousClock.Instant?
        let limit = accepted + .seconds(240)
        while switched == nil {
            let view = try await client.refresh(topics: [topic])
            let now = clock.now
            let partition = view.topics[topic]?.partitions[0]
            if inSync == nil, partition?.inSyncReplicas.contains(target[0]) == true { inSync = now }
            if partition?.leader == target[0] { switched = now }
            guard now < limit else { throw LoadProcess.Failure(description: "\(mode): moving \(topic) did not end in 240 s") }
            if switched == nil { try await Task.sleep(for: .milliseconds(2)) }
        }
        while try await client.listPartitionReassignments().contains(where: { $0.topic == topic }) {
            guard clock.now < limit else { throw LoadProcess.Failure(description: "\(mode): moving \(topic) did not end in 240 s") }
            try await Task.sleep(for: .milliseconds(2))
        }
        let removed = clock.now
        // The new leader has served a produce once its log end has passed what it had when it took over.
        let end = try await client.listOffset(of: topic, partition: 0, timestamp: -1)
        while try await client.listOffset(of: topic, partition: 0, timestamp: -1) <= end {
            guard clock.now < limit else {
                throw LoadProcess.Failure(description: "\(mode): the new leader of \(topic) served no produce")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        let served = clock.now
        let moved = (inSync ?? switched)!
        phases.append(Phase(name: "in sync", seconds: (moved - accepted).inSeconds))
        phases.append(Phase(name: "leader switched", seconds: (switched! - moved).inSeconds))
        phases.append(Phase(name: "source removed", seconds: max(0, (removed - switched!).inSeconds)))
        phases.append(Phase(name: "first produce", seconds: (served - removed).inSeconds))

        try await Task.sleep(for: .milliseconds(300))
        let stopped = try await load.run(.stopProbe(name: probe), bootstrap: cluster.bootstrap)
        guard case .probe(let seen) = stopped else { throw unexpected(stopped) }
        let after = try await cluster.counters()
        func grown(_ name: String) -> Int64 { (after[name] ?? 0) - (before[name] ?? 0) }
        return ReassignmentResult.Run(
            logicalBytes: Double(bytes), seconds: (served - accepted).inSeconds,
            bytesMoved: Double(max(grown("reassignment.bytesIn"), grown("reassignment.bytesOut"))),
            clientGapSeconds: seen.longestGapSeconds, phases: phases)
    }
}
