//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Where one mode keeps its bytes, and the broker settings that say so.
struct ModePlaces: Sendable {
    /// Everything below is the mode's and is measured.
    let directory: String
    /// Configurations and logs; not measured.
    let runDirectory: String
    let volume: VolumePlace
    let objects: ObjectPlace
    let properties: [String: String]

    /// - Parameter name: Of the mode or variant.
    init(_ plan: ComparePlan, mode name: String) {
        let mode = ModeVariant.storageMode(of: name)
        let plainName = ModeVariant.plainName(of: name)
        directory = "\(plan.dataDirectory)/\(plainName)"
        runDirectory = "\(plan.dataDirectory)/run/\(plainName)"
        volume = VolumePlace(plan.volume, backing: plan.backing, ownDirectory: directory, mode: plainName)
        objects = ObjectPlace(plan.objectStoreURL, ownDirectory: directory, mode: plainName, runName: plan.runName)
        var properties = [
            "storage.mode": mode,
            "storage.modes": mode,
            "log.dirs": "\(volume.specification)/broker-{broker}",
            "wal.path": "\(volume.specification)/wal/broker-{broker}",
            "metadata.store.url": "sqlite://\(directory)/metadata.db",
            "object.store.url": objects.url,
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
        self.properties = properties.merging(ModeVariant.named(name)?.properties ?? [:]) { $1 }
    }

    /// Whether the mode has objects at all.
    static func usesObjects(_ mode: String) -> Bool { ModeVariant.storageMode(of: mode) != "isr" }

    /// Other roots that the mode writes to, given by the user.
    var outsideDirectories: [String] {
        [volume.directory, objects.directory].compactMap { $0 }.filter { MountPoint.relative($0, below: directory) == nil }
    }

    /// The settings a reader of the report must know.
    var reportedProperties: [String: String] {
        properties.filter {
            $0.value == "object:"
                || !["log.dirs", "wal.path", "metadata.store.url", "object.store.url", "storage.mode", "storage.modes"].contains(
                    $0.key)
        }
    }
}
