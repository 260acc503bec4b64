//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What a user may leave out or put in.
package enum Scenario: String, Sendable, Hashable, CaseIterable, Codable {
    /// Produce and consume at a fixed rate.
    case steady
    /// Bytes on media once offloading and compaction have settled.
    case footprint
    /// Partitions of several sizes moved to a broker that joins.
    case reassignment
    /// A broker killed without warning.
    case failover
}

/// One comparison, fully decided before anything is started.
package struct ComparePlan: Sendable, Hashable {
    package var modes: [String]
    package var scenarios: [Scenario]
    package var quick: Bool
    package var keep: Bool
    /// The `ninefold` program, which is started as brokers and as load generator.
    package var executable: String
    package var version: String
    package var commandLine: [String]
    /// Absolute.
    package var dataDirectory: String
    /// `DIR` or `replicated:N:DIR`; nil for `replicated:3:` below the data directory.
    package var volume: String?
    /// Directories in which the file system mounted at ``volume`` keeps its bytes (the bricks of a GlusterFS volume): counted there.
    package var backing: [String] = []
    /// nil for a local directory of three copies below the data directory.
    package var objectStoreURL: String?
    /// The part of an endpoint's keys that tells this run's objects from others'.
    package var runName = "ninefold"
    package var priceSheets: [String]
    package var seed: UInt64

    /// What the report calls the load.
    package var workloadName: String
    package var brokers = 3
    package var partitions = 12
    package var replicationFactor = 3
    package var minInSyncReplicas = 2
    package var recordBytes = 1_024
    package var compressibleTo = 0.5
    package var producers = 3
    package var consumers = 3
    package var recordsPerSecond: Double
    package var warmupSeconds: Double
    package var steadySeconds: Double
    /// Logical bytes of the partitions that are moved, over a 32-fold span.
    package var movedPartitionBytes: [Int64]
    package var probeRecordsPerSecond = 200.0
    package var failoverRecordsPerSecond = 600.0
    package var sessionTimeoutMilliseconds: Int
    /// `segment.bytes` of the topic under steady load.
    package var segmentBytes: Int64
    /// `segment.bytes` of the topics filled at full speed, whose batches are larger.
    package var movedSegmentBytes: Int64 = 2 << 20
    package var walCapacityBytes: Int64
    package var walUploadThresholdBytes: Int64
    /// For the computed move at a throttle.
    package var throttleBytesPerSecond: Double = 10e6

    package init(
        modes: [String], scenarios: [Scenario], quick: Bool, keep: Bool, executable: String, version: String, commandLine: [String],
        dataDirectory: String, volume: String?, objectStoreURL: String?, priceSheets: [String], seed: UInt64
    ) {
        self.modes = modes
        self.scenarios = scenarios
        self.quick = quick
        self.keep = keep
        self.executable = executable
        self.version = version
        self.commandLine = commandLine
        self.dataDirectory = dataDirectory
        self.volume = volume
        self.objectStoreURL = objectStoreURL
        self.priceSheets = priceSheets
        self.seed = seed
        workloadName = quick ? "nine copies, quick" : "nine copies"
        recordsPerSecond = quick ? 4_000 : 5_000
        warmupSeconds = quick ? 0.5 : 2
        steadySeconds = quick ? 3 : 20
        movedPartitionBytes = (quick ? [1, 3, 10, 32] : [8, 25, 80, 256]).map { $0 << 20 }
        sessionTimeoutMilliseconds = quick ? 1_500 : 3_000
        segmentBytes = quick ? 256 << 10 : 1 << 20
        walCapacityBytes = 16 << 20
        walUploadThresholdBytes = 4 << 20
    }

    /// Takes record size, rate, partitions, producers and consumers of an OpenMessaging Benchmark workload; times stay the plan's, for a
    /// comparison keeps its own.
    package mutating func apply(workloadFile path: String) throws(WorkloadFileError) {
        let file = try WorkloadFile(path: path)
        workloadName = file.name
        recordBytes = file.messageSize
        partitions = file.partitions(ofTopic: 0)
        if file.producerRate > 0 { recordsPerSecond = file.producerRate }
        producers = max(1, file.producers(ofTopic: 0))
        consumers = max(1, file.subscriptionsPerTopic * file.consumerPerSubscription)
        compressibleTo = file.compressibleTo
    }

    /// Bytes on the data disk that the greediest mode needs at its fullest: every copy, and the copy a move makes.
    package var diskBytesNeeded: Int64 {
        let logical = Double(recordBytes) * recordsPerSecond * (steadySeconds + warmupSeconds)
        let moved = Double(movedPartitionBytes.reduce(0, +)) * (scenarios.contains(.reassignment) ? 1 : 0)
        let perByte = Double(replicationFactor) * 3
        return Int64((logical + moved) * perByte * 1.15 + moved * 3) + 512 << 20
    }

    package var workload: WorkloadSummary {
        WorkloadSummary(
            name: workloadName, recordBytes: recordBytes, recordsPerSecond: recordsPerSecond, partitions: partitions,
            replicationFactor: replicationFactor, minInSyncReplicas: minInSyncReplicas, acks: "all", producers: producers,
            consumers: consumers, compressibleTo: compressibleTo, seed: seed)
    }
}
