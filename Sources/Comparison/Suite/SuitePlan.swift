//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// One run of the suite, fully decided before anything is started.
package struct SuitePlan: Sendable {
    package var rows: [SuiteRow]
    package var modes: [String]
    /// Times each row is run in each mode, in turn over the modes.
    package var repeats = 3
    /// Counted seconds of a row; nil for the row's own.
    package var seconds: Double?
    package var warmupSeconds = 1.0
    /// Counts allocations in a pass of its own.
    package var countsAllocations = true
    package var executable: String
    package var version: String
    package var commandLine: [String]
    /// Absolute; made and removed.
    package var dataDirectory: String
    package var output: String
    package var keep = false
    /// `s3://…`, below whose prefix each run has one of its own; nil for a local directory.
    package var objectStoreURL: String?
    /// A cluster that runs already, put to the rows that start no broker.
    package var against: Against?

    package struct Against: Sendable, Hashable {
        package var bootstrap: String
        package var pids: [Int32]

        package init(bootstrap: String, pids: [Int32]) {
            self.bootstrap = bootstrap
            self.pids = pids
        }
    }

    /// What stands for a mode where against was measured.
    package static let againstName = "against"

    package init(
        rows: [SuiteRow], modes: [String], executable: String, version: String, commandLine: [String], dataDirectory: String,
        output: String
    ) {
        self.rows = rows
        self.modes = modes
        self.executable = executable
        self.version = version
        self.commandLine = commandLine
        self.dataDirectory = dataDirectory
        self.output = output
    }

    /// Of every topic: what was written is removed while the row runs, so that the pages it lay in are used again and the price of
    /// fresh ones, which is the machine's, stays out of the row.
    package func topicConfiguration(mode: String) -> [String: String] {
        var configuration = [
            "segment.bytes": String(64 << 20), "retention.bytes": String(128 << 20), "file.delete.delay.ms": "100",
        ]
        if mode == "tiered" {
            // What is removed before it is uploaded costs no upload.
            configuration["retention.bytes"] = String(512 << 20)
            configuration["local.retention.bytes"] = String(128 << 20)
        }
        return configuration
    }

    /// The store of the run whose brokers' data lies in `directory`.
    package func objectStore(below directory: String) -> String {
        guard let objectStoreURL else { return "file://\(directory)/objects" }
        let parts = objectStoreURL.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let place = directory.split(separator: "/").suffix(3).joined(separator: "/")
        return ([parts[0] + "/" + place] + parts.dropFirst()).joined(separator: "?")
    }

    package func brokerProperties(_ row: SuiteRow, mode: String, directory: String) -> [String: String] {
        var properties = [
            "storage.mode": mode,
            "storage.modes": mode,
            "log.dirs": "\(directory)/broker-{broker}",
            "wal.path": "\(directory)/wal-{broker}",
            "metadata.store.url": "sqlite://\(directory)/metadata.db",
            "object.store.url": objectStore(below: directory),
            "default.replication.factor": String(row.replicationFactor),
            "min.insync.replicas": String(min(2, row.replicationFactor)),
            "offsets.topic.replication.factor": String(row.replicationFactor),
            "auto.create.topics.enable": "false",
            "log.retention.check.interval.ms": "500",
        ]
        switch mode {
        case "tiered": properties["remote.log.manager.task.interval.ms"] = "500"
        case "shared": properties["object.delete.retention.ms"] = "1000"
        default: break
        }
        return properties
    }

    /// What a reader must know of how brokers and topics were set.
    package static let settingsNote = """
        Topics: segment.bytes 64 MiB, retention.bytes 128 MiB (tiered: 512 MiB, of which 128 MiB local), file.delete.delay.ms 100.
        Brokers: log.retention.check.interval.ms 500. So pages of the page cache are used again while a row runs.
        """
}
