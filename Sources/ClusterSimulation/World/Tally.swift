//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What a fault did, or what the engines did because of it: what a run of many seeds must have seen, or it proved nothing.
package enum Probe: String, Sendable, CaseIterable {
    case killed = "processes killed between two steps"
    case killedInCall = "processes killed in a call of the disk"
    case powerCut = "power cuts between two steps"
    case powerCutInCall = "power cuts in a call of the disk"
    case powerCutOfAll = "power cuts of all brokers"
    case lostMemory = "power cuts of all brokers that lost what was acknowledged"
    case stalled = "processes that stood still"
    case zombie = "processes that went on after their lease had ended"
    case leaseLost = "brokers that found their lease lost"
    case stoppedInOrder = "brokers stopped in order"
    case slowCall = "disk calls in which others went on"
    case lostWrite = "unsynced writes lost"
    case tornWrite = "writes torn"
    case failedSync = "syncs failed"
    case diskError = "disk calls failed"
    case diskFull = "writes refused for want of room"
    case lyingSync = "syncs that made nothing durable"
    case rot = "bytes rotted"
    case cutMessage = "messages lost on a cut link"
    case slowMessage = "messages on a slow link"
    case pipelined = "batches sent behind others that were not acknowledged"
    case metadataCut = "metadata requests that did not arrive"
    case metadataReplyLost = "metadata answers lost"
    case clockJump = "wall clocks set"
    case objectFailed = "object requests failed"
    case objectReplyLost = "object answers lost"
    case objectLate = "objects put after their failure was told"
    case objectSlow = "object requests delayed"
    case objectCut = "object requests that did not arrive"
    case staleList = "lists that did not show all"
    case newLeader = "partitions led by another broker than before"
    case moved = "moves done"
    case truncated = "logs truncated by their leader's epochs"
    case damagedTail = "logs cut at a damaged batch"
    case toTier = "segments copied to the tier"
    case fromTier = "followers begun from the tier"
    case tierRead = "reads of the tier"
    case wrapped = "write-ahead logs that wrapped"
    case replayed = "write-ahead logs replayed by another broker"
    case fenced = "writers fenced by a conditional put"
    case compacted = "compactions"
    case destroyed = "objects destroyed"
    case orphan = "objects removed by the audit"

    /// Where it can happen.
    package func happens(in mode: StorageMode) -> Bool {
        switch self {
        case .objectFailed, .objectReplyLost, .objectLate, .objectSlow, .objectCut, .staleList: mode != .isr
        case .diskFull, .lostMemory, .lyingSync, .truncated, .damagedTail: mode != .shared
        case .toTier, .fromTier, .tierRead: mode == .tiered
        case .wrapped, .replayed, .fenced, .compacted, .destroyed: mode == .shared
        case .orphan: mode != .isr
        default: true
        }
    }
}

/// How often each probe was hit. Touched on the loop's thread only.
final class Tally: @unchecked Sendable {
    private(set) var counts: [Probe: Int] = [:]

    func add(_ probe: Probe, _ count: Int = 1) { if count > 0 { counts[probe, default: 0] += count } }

    /// Of a line that a broker logs.
    func note(logged message: String) {
        if let probe = Self.messages[message] { add(probe) }
    }

    private static let messages: [String: Probe] = [
        "log truncated": .truncated, "log cut at its first damaged batch": .damagedTail,
        "Segment copied to the tier": .toTier, "Follower begins from the tier": .fromTier,
        "The lease in the metadata store was lost: nothing is acknowledged any more": .leaseLost,
        "An object that no metadata name was removed": .orphan,
    ]
}
