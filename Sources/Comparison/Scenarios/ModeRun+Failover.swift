//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import LogModel
internal import RuntimeEnvironment

extension ModeRun {
    /// Kills a broker that leads partitions while all of them are written, and reads everything acknowledged back.
    func failover() async throws -> FailoverResult {
        let topic = Self.failoverTopic
        try await createTopic(topic, partitions: plan.partitions, segmentBytes: plan.movedSegmentBytes)
        let started = try await load.run(
            .startProbe(
                ProbeLoad(
                    name: topic, topic: topic, partition: nil, recordsPerSecond: plan.failoverRecordsPerSecond,
                    recordBytes: plan.recordBytes, compressibleTo: plan.compressibleTo, acks: -1, seed: plan.seed)),
            bootstrap: cluster.bootstrap)
        guard case .probeStarted = started else { throw unexpected(started) }
        try await Task.sleep(for: .milliseconds(plan.quick ? 700 : 2_000))

        let before = try await client.refresh(topics: [topic])
        let leaders = (before.topics[topic]?.partitions ?? [:]).compactMapValues(\.leader)
        let victim = BrokerID(2)
        let bereaved = Set(leaders.filter { $0.value == victim }.keys)
        progress("\(mode): killing broker \(victim), which leads \(bereaved.count) of \(leaders.count) partitions")
        let survivor = cluster.brokers.first { $0.id != victim.rawValue }!
        let watcher = try Self.client(of: "\(survivor.host):\(survivor.port)")
        let system = RuntimeEnvironment.system.clock
        let killed = system.now()
        await cluster.kill(victim.rawValue)

        var noticed: MonotonicInstant?
        var elected: MonotonicInstant?
        let limit = killed + .milliseconds(Int64(plan.sessionTimeoutMilliseconds) + 60_000)
        while elected == nil {
            let view = try await watcher.refresh(topics: [topic])
            let now = system.now()
            if noticed == nil, view.brokers[victim] == nil { noticed = now }
            let partitions = view.topics[topic]?.partitions ?? [:]
            if bereaved.allSatisfy({ partitions[$0]?.leader.map { $0 != victim } ?? false }) { elected = now }
            guard now < limit else {
                throw LoadProcess.Failure(description: "\(mode): no new leader within 60 s of the session's end")
            }
            if elected == nil { try await Task.sleep(for: .milliseconds(3)) }
        }
        // Until every partition is acknowledged again, the probe is left running; its gaps tell when that was.
        try await Task.sleep(for: .milliseconds(plan.quick ? 1_500 : 3_000))
        let stopped = try await load.run(.stopProbe(name: topic), bootstrap: cluster.bootstrap)
        guard case .probe(let seen) = stopped else { throw unexpected(stopped) }
        await watcher.close()
        progress("\(mode): reading back every acknowledged record")
        let verified = try await load.run(.verify(topic: topic), bootstrap: cluster.bootstrap)
        guard case .verify(let verify) = verified else { throw unexpected(verified) }

        let firstAcks = seen.gaps.filter {
            bereaved.contains($0.partition) && $0.fromNanoseconds <= killed.nanoseconds + 50_000_000
                && $0.untilNanoseconds > killed.nanoseconds && !$0.isOpen
        }
        var result = FailoverResult(
            seconds: nil, phases: [], acknowledged: Double(verify.acknowledged), lost: Double(verify.lost),
            duplicated: Double(verify.duplicated), reordered: Double(verify.reordered), notMeasured: [:])
        if verify.damaged > 0 { result.lost += Double(verify.damaged) }
        if let first = firstAcks.map(\.untilNanoseconds).min() {
            let seconds = Double(first - killed.nanoseconds) / 1e9
            result.seconds = seconds
            let detection = min((noticed ?? elected!) - killed, elected! - killed).inSeconds
            let election = max(0, (elected! - killed).inSeconds - detection)
            result.phases = [
                Phase(name: "detection", seconds: min(detection, seconds)),
                Phase(name: "election", seconds: max(0, min(election, seconds - detection))),
                Phase(name: "recovery", seconds: max(0, seconds - detection - election)),
            ]
        } else {
            let isUnfinished = seen.gaps.contains { bereaved.contains($0.partition) && $0.isOpen }
            result.notMeasured["seconds"] =
                isUnfinished
                ? "none of the dead broker's partitions was acknowledged again before the probe ended"
                    + (seen.lastFailure.map { "; its last failure: \($0)" } ?? "")
                : "the probe saw no gap on the dead broker's partitions"
        }
        return result
    }
}
