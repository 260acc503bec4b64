//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Where one mode keeps its bytes, and the broker settings that say so.
struct ModePlaces: Sendable {
    /// Everything below is the mode's and is measured.
    let directory: String
    /// Configurations and logs; not measured.
    let runDirectory: String
    /// Other roots that the mode writes to, given by the user.
    let outsideDirectories: [String]
    let volumeSpecification: String
    let volumeCopies: Int
    let objectStoreURL: String
    let objectStoreIsLocal: Bool
    let properties: [String: String]

    init(_ plan: ComparePlan, mode: String) {
        directory = "\(plan.dataDirectory)/\(mode)"
        runDirectory = "\(plan.dataDirectory)/run/\(mode)"
        let base: (prefix: String, directory: String)
        if let volume = plan.volume {
            let parts = volume.split(separator: ":", maxSplits: 2).map(String.init)
            let isReplicated = parts.first == "replicated" && parts.count == 3
            base =
                isReplicated
                ? ("replicated:\(parts[1]):", "\(parts[2])/ninefold-\(mode)") : ("", "\(volume)/ninefold-\(mode)")
            volumeCopies = isReplicated ? Int(parts[1]) ?? 1 : 1
            outsideDirectories = [base.directory]
        } else {
            base = ("replicated:3:", directory + "/volume")
            volumeCopies = 3
            outsideDirectories = []
        }
        volumeSpecification = base.prefix + base.directory
        let objects = plan.objectStoreURL ?? "file://\(directory)/objects?copies=3"
        objectStoreIsLocal = objects.hasPrefix("file:")
        objectStoreURL = objects
        var properties = [
            "storage.mode": mode,
            "storage.modes": mode,
            "log.dirs": "\(base.prefix)\(base.directory)/broker-{broker}",
            "wal.path": "\(base.prefix)\(base.directory)/wal/broker-{broker}",
            "metadata.store.url": "sqlite://\(directory)/metadata.db",
            "object.store.url": objects,
            "default.replication.factor": String(plan.replicationFactor),
            "min.insync.replicas": String(plan.minInSyncReplicas),
            "offsets.topic.replication.factor": String(plan.replicationFactor),
            "auto.create.topics.enable": "false",
            "broker.session.timeout.ms": String(plan.sessionTimeoutMilliseconds),
            // A segment that goes away is gone from the medium at once, so that what is measured has settled.
            "log.segment.delete.delay.ms": "0",
        ]
        switch mode {
        case "tiered":
            properties["remote.log.manager.task.interval.ms"] = "500"
        case "shared":
            properties["wal.capacity.bytes"] = String(plan.walCapacityBytes)
            properties["wal.upload.threshold.bytes"] = String(plan.walUploadThresholdBytes)
            properties["object.delete.retention.ms"] = "1000"
        default: break
        }
        self.properties = properties
    }

    /// The settings a reader of the report must know.
    var reportedProperties: [String: String] {
        properties.filter {
            !["log.dirs", "wal.path", "metadata.store.url", "object.store.url", "storage.mode", "storage.modes"].contains($0.key)
        }
    }
}
