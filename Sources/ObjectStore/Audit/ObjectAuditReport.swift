//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What the metadata say of one object.
public struct ObjectExpectation: Sendable, Hashable {
    public enum State: Sendable, Hashable {
        /// It must be there. Its size in bytes where the metadata know it.
        case committed(size: Int64?)
        /// Perhaps being put, perhaps there, perhaps given up: an upload under way, or one that the brokers clean up themselves.
        case announced
        /// Nobody needs it; the brokers delete it after a grace.
        case dying
    }

    public var state: State
    /// Whose records it holds, for a report of its loss.
    public var holds: [HeldOffsets]

    public init(_ state: State, holds: [HeldOffsets] = []) {
        self.state = state
        self.holds = holds
    }
}

/// What the metadata say of all objects of an engine, at one moment.
public struct ObjectExpectations: Sendable {
    /// By key.
    public var objects: [String: ObjectExpectation] = [:]
    /// Whatever lies below these is announced: objects that have no record each, as a live broker's write-ahead log.
    public var announcedPrefixes: [String] = []
    /// Directories (keys up to their last slash) of what was deleted: an object in one is this cluster's, and nobody's any more.
    public var formerDirectories: Set<String> = []

    public init() {}

    func knows(_ key: String) -> Bool { objects[key] != nil || announcedPrefixes.contains { key.hasPrefix($0) } }

    func knew(_ key: String) -> Bool {
        !formerDirectories.isEmpty && key.lastIndex(of: "/").map { formerDirectories.contains(String(key[...$0])) } ?? false
    }
}

/// A stretch of a partition.
public struct HeldOffsets: Codable, Sendable, Hashable {
    public var topic: String
    public var partition: Int32
    public var startOffset: Int64
    /// Exclusive.
    public var endOffset: Int64

    public init(topic: String, partition: Int32, startOffset: Int64, endOffset: Int64) {
        self.topic = topic
        self.partition = partition
        self.startOffset = startOffset
        self.endOffset = endOffset
    }
}

/// One thing on which a store and the metadata disagree.
public struct ObjectFinding: Codable, Sendable, Hashable {
    public enum Kind: String, Codable, Sendable {
        /// An object that no metadata name, older than the grace.
        case orphan
        /// Metadata whose object is not there.
        case missing
        case sizeMismatch
        /// An upload in parts that nobody will complete, older than the grace.
        case unfinishedUpload
    }

    public var kind: Kind
    public var key: String
    /// As the store says; of a missing object, as the metadata do.
    public var bytes: Int64?
    public var expectedBytes: Int64?
    public var ageSeconds: Double?
    public var holds: [HeldOffsets]
    /// By this audit's repair.
    public var isRemoved: Bool

    init(
        _ kind: Kind, _ key: String, bytes: Int64?, expectedBytes: Int64? = nil, ageSeconds: Double? = nil,
        holds: [HeldOffsets] = []
    ) {
        self.kind = kind
        self.key = key
        self.bytes = bytes
        self.expectedBytes = expectedBytes
        self.ageSeconds = ageSeconds
        self.holds = holds
        isRemoved = false
    }
}

/// What an audit of one engine's objects saw.
public struct ObjectAuditReport: Codable, Sendable, Hashable {
    /// `storage.mode` of the objects' engine.
    public var mode: String
    /// In the store.
    public var objects: Int64 = 0
    public var bytes: Int64 = 0
    /// Known to the metadata, by state.
    public var committed: Int64 = 0
    public var announced: Int64 = 0
    public var awaitingDeletion: Int64 = 0
    /// In the store, unknown to the metadata, and too young to be called orphans, or of unknown age.
    public var tooYoung: Int64 = 0
    /// Uploads in parts that were begun and not completed, those under way included.
    public var unfinishedUploads: Int64 = 0
    /// Why uploads could not be looked at; the store may not list them, or not to us.
    public var uploadsProblem: String?
    public var findings: [ObjectFinding] = []
    /// Why a repair that was asked for removed nothing.
    public var refusal: String?

    init(mode: String) { self.mode = mode }
}
