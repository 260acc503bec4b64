//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import LogModel
internal import Metering
internal import NIOPosix
internal import RuntimeEnvironment

/// The scenarios of one mode, run in turn on one cluster.
struct ModeRun {
    let plan: ComparePlan
    /// Its name, and that of the variant if it is one.
    let mode: String
    let places: ModePlaces
    let cluster: BrokerCluster
    let load: LoadProcess
    let client: KafkaClient
    let progress: Progress
    /// Counters when the brokers began to serve.
    let atStart: [String: Int64]
    let backing: BackingMeasure?

    private var isTiered: Bool { ModeVariant.storageMode(of: mode) == "tiered" }
    var isShared: Bool { ModeVariant.storageMode(of: mode) == "shared" }

    static let steadyTopic = "steady"
    static let failoverTopic = "failover"

    /// Starts a cluster, runs the plan's scenarios, stops the cluster. A scenario that fails leaves its reason, not a zero.
    static func execute(_ plan: ComparePlan, mode: String, progress: Progress) async throws -> ModeResult {
        let places = ModePlaces(plan, mode: mode)
        let cluster = BrokerCluster(
            .init(
                executable: plan.executable, brokers: plan.brokers, directory: places.directory, runDirectory: places.runDirectory,
                properties: places.properties))
        progress("\(mode): starting \(plan.brokers) brokers")
        let backing =
            places.volume.backing.isEmpty
            ? nil : BackingMeasure(directory: places.volume.directory, backing: places.volume.backing)
        do {
            try await cluster.start()
            let load = try LoadProcess(executable: plan.executable, logPath: "\(places.runDirectory)/load.log")
            let client = try Self.client(of: cluster.bootstrap)
            let run = ModeRun(
                plan: plan, mode: mode, places: places, cluster: cluster, load: load, client: client, progress: progress,
                atStart: try await cluster.counters(), backing: backing)
            let result = try await run.scenarios()
            await client.close()
            await load.stop()
            await cluster.stop()
            return result
        } catch {
            // A broker that is gone explains what its clients then see.
            let ends = cluster.unexpectedEnds
            await cluster.stop()
            guard !ends.isEmpty else { throw error }
            throw LoadProcess.Failure(description: "\(mode): \(ends.joined(separator: ", ")); \(error)")
        }
    }

    private func scenarios() async throws -> ModeResult {
        var result = ModeResult(mode: mode)
        if plan.scenarios.contains(.steady) || plan.scenarios.contains(.footprint) {
            let steady = try await self.steady()
            if plan.scenarios.contains(.steady) { result.steady = steady } else { result.notMeasured["steady"] = "not asked for" }
        } else {
            result.notMeasured["steady"] = "not asked for"
        }
        if plan.scenarios.contains(.footprint) {
            try await footprint(into: &result)
        } else {
            for field in ["storage", "network", "requests"] { result.notMeasured[field] = "not asked for" }
        }
        if plan.scenarios.contains(.reassignment) {
            result.reassignment = try await reassignment()
        } else {
            result.notMeasured["reassignment"] = "not asked for"
        }
        if plan.scenarios.contains(.failover) {
            result.failover = try await failover()
        } else {
            result.notMeasured["failover"] = "not asked for"
        }
        return result
    }

    static func client(of bootstrap: String) throws -> KafkaClient {
        KafkaClient(
            bootstrap: try bootstrap.split(separator: ",").map { try BrokerAddress(parsing: String($0)) },
            clientID: "ninefold-compare",
            group: MultiThreadedEventLoopGroup.singleton, clock: RuntimeEnvironment.system.clock)
    }

    /// - Parameter segmentBytes: Small, so that segments roll, and are offloaded, at the sizes of a short run.
    func createTopic(_ name: String, partitions: Int, segmentBytes: Int64, assignments: [[BrokerID]]? = nil) async throws {
        var configs = ["min.insync.replicas": String(plan.minInSyncReplicas), "segment.bytes": String(segmentBytes)]
        if isTiered { configs["local.retention.bytes"] = String(segmentBytes) }
        try await client.createTopic(
            name, partitions: partitions, replicationFactor: plan.replicationFactor, configuration: configs,
            assignments: assignments)
        _ = try await client.waitForLeaders(of: [name: partitions])
    }

    // MARK: steady

    private func steady() async throws -> SteadyResult {
        try await createTopic(Self.steadyTopic, partitions: plan.partitions, segmentBytes: plan.segmentBytes)
        progress("\(mode): warming up")
        _ = try await load.run(.steady(steadyLoad(seconds: plan.warmupSeconds)), bootstrap: cluster.bootstrap)
        progress(
            "\(mode): steady load, \(Format.number(plan.recordsPerSecond)) records/s for \(Format.seconds(plan.steadySeconds))")
        let cpuBefore = cluster.cpuSeconds
        let outcome = try await load.run(.steady(steadyLoad(seconds: plan.steadySeconds)), bootstrap: cluster.bootstrap)
        let cpuAfter = cluster.cpuSeconds
        guard case .steady(let steady) = outcome else { throw unexpected(outcome) }
        return SteadyResult(
            records: Double(steady.records), bytes: Double(steady.bytes), seconds: steady.seconds,
            targetRecordsPerSecond: plan.recordsPerSecond, responseSeconds: steady.responseSeconds,
            endToEndSeconds: steady.endToEndSeconds, recordsConsumed: Double(steady.recordsConsumed),
            brokerCPUSeconds: cpuBefore.flatMap { before in cpuAfter.map { $0 - before } }, loadCPUSeconds: steady.loadCPUSeconds,
            errors: Double(steady.errors), responseCurve: steady.responseCurve)
    }

    private func steadyLoad(seconds: Double) -> SteadyLoad {
        SteadyLoad(
            topic: Self.steadyTopic, recordBytes: plan.recordBytes, compressibleTo: plan.compressibleTo,
            recordsPerSecond: plan.recordsPerSecond, producers: plan.producers, consumers: plan.consumers, warmupSeconds: 0,
            seconds: seconds, acks: -1, seed: plan.seed)
    }

    // MARK: footprint

    private func footprint(into result: inout ModeResult) async throws {
        progress("\(mode): waiting until uploads and compaction have settled")
        try await cluster.settle()
        // What the brokers did until they served (the object store's trial, the metadata) is not the load's.
        let counters = try await cluster.counters().merging(atStart) { $0 - $1 }
        let reported = try await cluster.footprint()
        let measure = StorageMeasure(places: places, counters: counters, reported: reported, backing: backing?.measure())
        result.storage = measure.result
        result.network = measure.network
        result.requests = measure.requests
        if places.volume.hidesCopies {
            result.notMeasured["storage.volumeCopies"] =
                "\(places.volume.directory) lies on a mount that may keep copies; counted once; name its directories with --backing"
            result.notMeasured["network.volumeCopies"] = "what the mount sends below is not seen from here"
        }
        if ModePlaces.usesObjects(mode), !places.objects.isLocal {
            result.notMeasured["storage.objectCopies"] =
                places.objects.saysCopies
                ? "an endpoint's copies cannot be counted from here: \(Format.number(places.objects.copies)) as declared by copies= in its URL"
                : "an endpoint's copies cannot be counted from here and its URL declares none (copies=N): counted once"
        }
        if let storage = result.storage {
            progress("\(mode): \(Format.ratio(storage.copies)) copies of \(Format.bytes(storage.logicalBytes))")
        }
    }

    func unexpected(_ outcome: LoadAnswer.Outcome) -> LoadProcess.Failure {
        LoadProcess.Failure(description: "the load generator answered something else than it was asked: \(outcome)")
    }
}
