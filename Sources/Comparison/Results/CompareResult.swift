//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Metering

/// One run of `ninefold compare`: what `comparison.json` holds, and all that the table and the report are drawn from.
///
/// Seconds and bytes are plain SI numbers. What was not measured is null, and `notMeasured` beside it says why, by field.
package struct CompareResult: Codable, Sendable, Hashable {
    package static let schemaName = "ninefold/comparison/1"

    package var schema = CompareResult.schemaName
    /// ISO 8601, UTC.
    package var startedAt: String
    package var seconds: Double
    package var environment: EnvironmentCapture
    package var workload: WorkloadSummary
    package var volume: StoreSummary
    package var objectStore: ObjectStoreSummary
    package var settings: RunSettings
    package var modes: [ModeResult]

    package init(
        startedAt: String, seconds: Double, environment: EnvironmentCapture, workload: WorkloadSummary, volume: StoreSummary,
        objectStore: ObjectStoreSummary, settings: RunSettings, modes: [ModeResult]
    ) {
        self.startedAt = startedAt
        self.seconds = seconds
        self.environment = environment
        self.workload = workload
        self.volume = volume
        self.objectStore = objectStore
        self.settings = settings
        self.modes = modes
    }
}

/// Where it ran.
package struct EnvironmentCapture: Codable, Sendable, Hashable {
    package var ninefold: String
    package var host: String
    package var cpu: String
    package var cores: Int
    package var memoryBytes: Int64
    package var kernel: String
    package var operatingSystem: String
    package var swift: String
    package var dataDirectory: String
    package var fileSystem: String
    package var disk: String
    package var commandLine: [String]
    /// Clients and brokers share the machine: what that means for times.
    package var remark: String

    package init(
        ninefold: String, host: String, cpu: String, cores: Int, memoryBytes: Int64, kernel: String, operatingSystem: String,
        swift: String, dataDirectory: String, fileSystem: String, disk: String, commandLine: [String], remark: String
    ) {
        self.ninefold = ninefold
        self.host = host
        self.cpu = cpu
        self.cores = cores
        self.memoryBytes = memoryBytes
        self.kernel = kernel
        self.operatingSystem = operatingSystem
        self.swift = swift
        self.dataDirectory = dataDirectory
        self.fileSystem = fileSystem
        self.disk = disk
        self.commandLine = commandLine
        self.remark = remark
    }
}

package struct WorkloadSummary: Codable, Sendable, Hashable {
    package var name: String
    package var recordBytes: Int
    package var recordsPerSecond: Double
    package var partitions: Int
    package var replicationFactor: Int
    package var minInSyncReplicas: Int
    package var acks: String
    package var producers: Int
    package var consumers: Int
    /// Compressed ÷ plain size the payload is made for.
    package var compressibleTo: Double
    package var seed: UInt64

    package init(
        name: String, recordBytes: Int, recordsPerSecond: Double, partitions: Int, replicationFactor: Int, minInSyncReplicas: Int,
        acks: String, producers: Int, consumers: Int, compressibleTo: Double, seed: UInt64
    ) {
        self.name = name
        self.recordBytes = recordBytes
        self.recordsPerSecond = recordsPerSecond
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.minInSyncReplicas = minInSyncReplicas
        self.acks = acks
        self.producers = producers
        self.consumers = consumers
        self.compressibleTo = compressibleTo
        self.seed = seed
    }
}

package struct StoreSummary: Codable, Sendable, Hashable {
    package var spec: String
    /// Our own, or found in the backing directories; 1 where they cannot be seen.
    package var copies: Double
    /// `measured` or `not measured`.
    package var basis: String
    /// Directories in which the mount keeps its bytes, where they were named: bytes are counted there.
    package var backing: [String]
    @OrNull package var fileSystem: String?

    package init(spec: String, copies: Double, basis: String = "measured", backing: [String] = [], fileSystem: String? = nil) {
        self.spec = spec
        self.copies = copies
        self.basis = basis
        self.backing = backing
        self.fileSystem = fileSystem
    }
}

package struct ObjectStoreSummary: Codable, Sendable, Hashable {
    package var url: String
    package var copies: Double
    /// `measured` or `declared`.
    package var basis: String

    package init(url: String, copies: Double, basis: String) {
        self.url = url
        self.copies = copies
        self.basis = basis
    }
}

/// Settings of the brokers that a reader must know, alike in all modes unless named for one.
package struct RunSettings: Codable, Sendable, Hashable {
    package var brokers: Int
    package var sessionTimeoutSeconds: Double
    package var scenarios: [String]
    package var quick: Bool
    /// `server.properties` that differ from the defaults, by mode.
    package var properties: [String: [String: String]]

    package init(
        brokers: Int, sessionTimeoutSeconds: Double, scenarios: [String], quick: Bool, properties: [String: [String: String]]
    ) {
        self.brokers = brokers
        self.sessionTimeoutSeconds = sessionTimeoutSeconds
        self.scenarios = scenarios
        self.quick = quick
        self.properties = properties
    }
}

package struct ModeResult: Codable, Sendable, Hashable {
    package var mode: String
    @OrNull package var storage: StorageResult?
    /// By class; null within it for a class that cannot be seen.
    @OrNull package var network: [String: Double?]?
    @OrNull package var requests: [String: Double]?
    @OrNull package var steady: SteadyResult?
    @OrNull package var reassignment: ReassignmentResult?
    @OrNull package var failover: FailoverResult?
    package var cost: [MonthlyCost]
    /// Field → why it is null.
    package var notMeasured: [String: String]

    package init(mode: String) {
        self.mode = mode
        cost = []
        notMeasured = [:]
    }
}

package struct StorageResult: Codable, Sendable, Hashable {
    package struct MediumBytes: Codable, Sendable, Hashable {
        package var medium: String
        package var physicalBytes: Double
        /// Of these, bytes of record batches; what is left is overhead.
        package var recordBytes: Double
        /// `measured` or `declared`.
        package var basis: String

        package init(medium: String, physicalBytes: Double, recordBytes: Double, basis: String) {
            self.medium = medium
            self.physicalBytes = physicalBytes
            self.recordBytes = recordBytes
            self.basis = basis
        }
    }

    package var logicalBytes: Double
    package var physicalBytes: Double
    package var copies: Double
    package var overhead: Double
    package var bytesWritten: Double
    package var writeAmplification: Double
    package var byMedium: [MediumBytes]
    /// `du` over the data directories, for comparison with `physicalBytes`.
    @OrNull package var directoryBytes: Double?
    /// Copies of each file that the volume's backing directories hold; null where none were named.
    @OrNull package var volumeCopies: Double?

    package init(
        logicalBytes: Double, physicalBytes: Double, copies: Double, overhead: Double, bytesWritten: Double,
        writeAmplification: Double, byMedium: [MediumBytes], directoryBytes: Double? = nil, volumeCopies: Double? = nil
    ) {
        self.logicalBytes = logicalBytes
        self.physicalBytes = physicalBytes
        self.copies = copies
        self.overhead = overhead
        self.bytesWritten = bytesWritten
        self.writeAmplification = writeAmplification
        self.byMedium = byMedium
        self.directoryBytes = directoryBytes
        self.volumeCopies = volumeCopies
    }
}

extension StorageResult {
    /// The part of the WAL's ring that holds no live data: of fixed size, whatever is kept.
    package var reservedBytes: Double { byMedium.filter { $0.medium == "reserved" }.reduce(0) { $0 + $1.physicalBytes } }
}

package struct Percentiles: Codable, Sendable, Hashable {
    package var p50: Double
    package var p95: Double
    package var p99: Double
    package var p999: Double
    package var max: Double

    package init(p50: Double, p95: Double, p99: Double, p999: Double, max: Double) {
        self.p50 = p50
        self.p95 = p95
        self.p99 = p99
        self.p999 = p999
        self.max = max
    }
}

package struct SteadyResult: Codable, Sendable, Hashable {
    package var records: Double
    package var bytes: Double
    package var seconds: Double
    package var targetRecordsPerSecond: Double
    /// From the intended send to the acknowledgement.
    package var responseSeconds: Percentiles
    /// From the record's timestamp to its arrival at the consumer.
    @OrNull package var endToEndSeconds: Percentiles?
    package var recordsConsumed: Double
    @OrNull package var brokerCPUSeconds: Double?
    @OrNull package var loadCPUSeconds: Double?
    package var errors: Double
    /// Seconds → share of responses at or below it, for the curve: pairs of (quantile, seconds).
    package var responseCurve: [[Double]]

    package init(
        records: Double, bytes: Double, seconds: Double, targetRecordsPerSecond: Double, responseSeconds: Percentiles,
        endToEndSeconds: Percentiles? = nil, recordsConsumed: Double, brokerCPUSeconds: Double? = nil,
        loadCPUSeconds: Double? = nil, errors: Double, responseCurve: [[Double]]
    ) {
        self.records = records
        self.bytes = bytes
        self.seconds = seconds
        self.targetRecordsPerSecond = targetRecordsPerSecond
        self.responseSeconds = responseSeconds
        self.endToEndSeconds = endToEndSeconds
        self.recordsConsumed = recordsConsumed
        self.brokerCPUSeconds = brokerCPUSeconds
        self.loadCPUSeconds = loadCPUSeconds
        self.errors = errors
        self.responseCurve = responseCurve
    }
}

package struct Phase: Codable, Sendable, Hashable {
    package var name: String
    package var seconds: Double

    package init(name: String, seconds: Double) {
        self.name = name
        self.seconds = seconds
    }
}

package struct ReassignmentResult: Codable, Sendable, Hashable {
    package struct Run: Codable, Sendable, Hashable {
        package var logicalBytes: Double
        package var seconds: Double
        package var bytesMoved: Double
        @OrNull package var clientGapSeconds: Double?
        package var phases: [Phase]

        package init(logicalBytes: Double, seconds: Double, bytesMoved: Double, clientGapSeconds: Double? = nil, phases: [Phase]) {
            self.logicalBytes = logicalBytes
            self.seconds = seconds
            self.bytesMoved = bytesMoved
            self.clientGapSeconds = clientGapSeconds
            self.phases = phases
        }
    }

    /// seconds = fixedSeconds + secondsPerGiB × GiB, least squares over the runs.
    package struct Fit: Codable, Sendable, Hashable {
        package var fixedSeconds: Double
        package var secondsPerGiB: Double
        /// Standard error of `secondsPerGiB`.
        @OrNull package var secondsPerGiBError: Double?

        package init(fixedSeconds: Double, secondsPerGiB: Double, secondsPerGiBError: Double? = nil) {
            self.fixedSeconds = fixedSeconds
            self.secondsPerGiB = secondsPerGiB
            self.secondsPerGiBError = secondsPerGiBError
        }
    }

    /// The same move at a stated replication throttle: bytes ÷ (throttle − ingest), computed.
    package struct Throttled: Codable, Sendable, Hashable {
        package var throttleBytesPerSecond: Double
        package var logicalBytes: Double
        package var bytesMoved: Double
        /// null: never ends, the throttle is at or below the ingest.
        @OrNull package var seconds: Double?
        package var basis: String

        package init(
            throttleBytesPerSecond: Double, logicalBytes: Double, bytesMoved: Double, seconds: Double? = nil, basis: String
        ) {
            self.throttleBytesPerSecond = throttleBytesPerSecond
            self.logicalBytes = logicalBytes
            self.bytesMoved = bytesMoved
            self.seconds = seconds
            self.basis = basis
        }
    }

    package var runs: [Run]
    @OrNull package var fit: Fit?
    package var throttled: [Throttled]

    package init(runs: [Run], fit: Fit? = nil, throttled: [Throttled]) {
        self.runs = runs
        self.fit = fit
        self.throttled = throttled
    }
}

package struct FailoverResult: Codable, Sendable, Hashable {
    /// From the death of the leader to the first acknowledged produce at its successor.
    @OrNull package var seconds: Double?
    package var phases: [Phase]
    package var acknowledged: Double
    package var lost: Double
    package var duplicated: Double
    package var reordered: Double
    package var notMeasured: [String: String]

    package init(
        seconds: Double? = nil, phases: [Phase], acknowledged: Double, lost: Double, duplicated: Double, reordered: Double,
        notMeasured: [String: String]
    ) {
        self.seconds = seconds
        self.phases = phases
        self.acknowledged = acknowledged
        self.lost = lost
        self.duplicated = duplicated
        self.reordered = reordered
        self.notMeasured = notMeasured
    }
}
