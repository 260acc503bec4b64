//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Metering

/// A made-up but self-consistent result, for tests of what is drawn from one.
enum SampleResult {
    static func make() throws -> CompareResult {
        let logical = 100e6
        func mode(_ name: String, _ media: [(String, Double, Double)], network: [String: Double], slope: Double, fixed: Double)
            throws -> ModeResult
        {
            var mode = ModeResult(mode: name)
            let physical = media.reduce(0) { $0 + $1.1 }
            let records = media.reduce(0) { $0 + $1.2 }
            mode.storage = StorageResult(
                logicalBytes: logical, physicalBytes: physical, copies: records / logical, overhead: (physical - records) / logical,
                bytesWritten: physical * 1.1, writeAmplification: physical * 1.1 / logical,
                byMedium: media.map {
                    StorageResult.MediumBytes(medium: $0.0, physicalBytes: $0.1, recordBytes: $0.2, basis: "measured")
                },
                directoryBytes: physical)
            mode.network = network
            mode.requests = [
                "put": name == "isr" ? 0 : 40, "get": name == "isr" ? 0 : 12, "list": 0, "delete": 3, "multipart": 0, "head": 0,
            ]
            mode.steady = SteadyResult(
                records: 100_000, bytes: 100e6, seconds: 20, targetRecordsPerSecond: 5_000,
                responseSeconds: Percentiles(p50: 0.002, p95: 0.004, p99: 0.009, p999: 0.02, max: 0.05), endToEndSeconds: nil,
                recordsConsumed: 100_000, brokerCPUSeconds: 4, loadCPUSeconds: 2, errors: 0,
                responseCurve: [[0, 0.001], [0.5, 0.002], [0.9, 0.004], [0.99, 0.009], [0.999, 0.02], [0.9999, 0.05]])
            let runs = [8e6, 25e6, 80e6, 256e6].map { size in
                ReassignmentResult.Run(
                    logicalBytes: size, seconds: fixed + slope * size / 1_073_741_824, bytesMoved: slope > 0 ? size : 100_000,
                    clientGapSeconds: 0.02,
                    phases: [Phase(name: "accepted", seconds: 0.01), Phase(name: "data moved", seconds: fixed)])
            }
            mode.reassignment = ReassignmentResult(
                runs: runs, fit: .init(fixedSeconds: fixed, secondsPerGiB: slope, secondsPerGiBError: 0.01),
                throttled: [
                    .init(throttleBytesPerSecond: 10e6, logicalBytes: 256e6, bytesMoved: 256e6, seconds: 51, basis: "computed")
                ])
            mode.failover = FailoverResult(
                seconds: 3.4,
                phases: [
                    Phase(name: "detection", seconds: 3), Phase(name: "election", seconds: 0.1),
                    Phase(name: "recovery", seconds: 0.3),
                ],
                acknowledged: 20_000, lost: 0, duplicated: 0, reordered: 0, notMeasured: [:])
            mode.notMeasured["endToEndSeconds"] = "no consumer ran"
            return mode
        }
        var modes = [
            try mode(
                "isr", [("hotLog", 905e6, 900e6), ("index", 3e6, 0)],
                network: [
                    "produce": 101e6, "consume": 101e6, "replication": 202e6, "volumeCopies": 905e6, "objectPut": 0, "objectGet": 0,
                    "control": 1e6,
                ], slope: 9, fixed: 0.4),
            try mode(
                "tiered", [("hotLog", 182e6, 180e6), ("object", 303e6, 300e6), ("index", 4e6, 0)],
                network: [
                    "produce": 101e6, "consume": 101e6, "replication": 202e6, "volumeCopies": 905e6, "objectPut": 100e6,
                    "objectGet": 10e6, "control": 1e6,
                ], slope: 2, fixed: 0.4),
            try mode(
                "shared", [("wal", 3e6, 3e6), ("object", 303e6, 300e6), ("reserved", 60e6, 0)],
                network: [
                    "produce": 101e6, "consume": 101e6, "replication": 0, "volumeCopies": 310e6, "objectPut": 130e6,
                    "objectGet": 30e6, "control": 1e6,
                ], slope: 0.001, fixed: 0.03),
        ]
        let workload = WorkloadSummary(
            name: "jd", recordBytes: 1_024, recordsPerSecond: 5_000, partitions: 12, replicationFactor: 3, minInSyncReplicas: 2,
            acks: "all",
            producers: 2, consumers: 2, compressibleTo: 0.5, seed: 42)
        for index in modes.indices {
            let usage = CostScaling.usage(of: modes[index], workload: workload, volumeCopies: 3, objectCopies: 3, brokers: 3)!
            modes[index].cost = [
                try PriceSheet.named("aws-us-east-1").cost(of: usage),
                try PriceSheet.named("onprem").cost(of: usage, roles: [.volumeStorage, .objectStorage, .crossZone]),
            ]
        }
        return CompareResult(
            startedAt: "2026-01-01T00:00:00Z", seconds: 100,
            environment: EnvironmentCapture(
                ninefold: "test", host: "host", cpu: "cpu <1>", cores: 2, memoryBytes: 24 << 30, kernel: "6",
                operatingSystem: "Debian", swift: "6.3",
                dataDirectory: "/tmp", fileSystem: "ext4", disk: "/dev/vda", commandLine: ["ninefold", "compare"],
                remark: "one machine"),
            workload: workload, volume: StoreSummary(spec: "replicated:3:/tmp", copies: 3),
            objectStore: ObjectStoreSummary(url: "file:///tmp/objects?copies=3", copies: 3, basis: "measured"),
            settings: RunSettings(
                brokers: 3, sessionTimeoutSeconds: 3, scenarios: ["steady"], quick: true,
                properties: ["shared": ["wal.capacity.bytes": "67108864"]]),
            modes: modes)
    }
}
