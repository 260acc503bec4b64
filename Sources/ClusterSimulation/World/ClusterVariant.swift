//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import SimulationKit

/// How the cluster of a run is set up, drawn from its seed: what an operator chooses, and how the run ends.
package struct ClusterVariant: Sendable, CustomStringConvertible {
    enum Restart: String, CaseIterable {
        case none, orderly
        case powerCut = "power cut"
    }

    var diskPace = DiskTime.Pace.instant
    /// What happens to all brokers before everything is read for the last time: what is read then is what is durable.
    var restart = Restart.none
    /// `wal.path=object:`
    var walIsInObjects = false
    /// `stream.close.strategy=upload-first`
    var uploadsFirst = false
    /// `remote.log.chunk.compression.type=zstd`
    var compresses = false
    /// `follower.fetch.last.tiered.offset.enable` (KIP-1023)
    var followersBeginAtTierEnd = false

    /// `log.flush.interval.messages=1`: what is acknowledged is durable on every in-sync replica.
    var syncsEachBatch = false

    init() {}

    init(mode: StorageMode, randomness: SeededRandomSource) {
        func one<Element>(of elements: [Element], for purpose: String) -> Element {
            elements[Int(randomness.fork(purpose).next(below: UInt64(elements.count)))]
        }
        diskPace = one(of: DiskTime.Pace.allCases, for: "disk-pace")
        // In `shared`, a stop of all brokers in order may leave a partition that its leader does not open again; not mended yet.
        restart = one(of: [.none, .none, .orderly, .powerCut], for: "restart")
        if mode != .shared { syncsEachBatch = one(of: [false, false, true], for: "sync") }
        switch mode {
        case .isr: break
        case .tiered:
            compresses = one(of: [false, true], for: "compresses")
            followersBeginAtTierEnd = one(of: [false, true], for: "tier-end")
        case .shared:
            walIsInObjects = one(of: [false, false, true], for: "object-wal")
            uploadsFirst = one(of: [false, true], for: "uploads-first")
        }
    }

    var settings: [String: String] {
        var settings: [String: String] = [:]
        if walIsInObjects { settings["wal.path"] = "object:" }
        if uploadsFirst { settings["stream.close.strategy"] = "upload-first" }
        if compresses { settings["remote.log.chunk.compression.type"] = "zstd" }
        if followersBeginAtTierEnd { settings["follower.fetch.last.tiered.offset.enable"] = "true" }
        if syncsEachBatch { settings["log.flush.interval.messages"] = "1" }
        return settings
    }

    package var description: String {
        var parts = ["disks \(diskPace)", "restart before the end: \(restart.rawValue)"]
        parts += settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return parts.joined(separator: ", ")
    }
}
