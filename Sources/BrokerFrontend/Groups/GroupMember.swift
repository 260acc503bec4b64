//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import NIOCore
package import RuntimeEnvironment

/// Stands for a JoinGroup or SyncGroup that is not answered yet. The coordinator keeps what to do with the answer.
package struct GroupTicket: Hashable, Sendable {
    package var rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A way of dividing the work that a member knows, and what it tells the others of itself in it.
package struct GroupProtocol: Hashable, Sendable {
    package var name: String
    /// Owned bytes: kept as long as the member.
    package var metadata: ByteBuffer

    package init(name: String, metadata: ByteBuffer) {
        self.name = name
        self.metadata = metadata
    }
}

/// One member of a group as the coordinator sees it.
package struct GroupMember: Sendable, Hashable {
    package var id: String
    /// `group.instance.id` of a static member (KIP-345).
    package var instanceID: String?
    package var clientID: String
    package var clientHost: String
    package var rebalanceTimeout: Duration
    package var sessionTimeout: Duration
    package var protocolType: String
    /// In the member's order of preference.
    package var protocols: [GroupProtocol]
    package var assignment = ByteBuffer()

    /// Place in the order of joining; the first becomes leader.
    var joinNumber: Int = 0
    /// Until its first rebalance is over, a member lives by a longer deadline, for it cannot send heartbeats while it waits.
    var isNew = false
    var sessionDeadline: MonotonicInstant
    /// The JoinGroup it waits in.
    var join: GroupTicket?
    /// The SyncGroup it waits in.
    var sync: GroupTicket?
    /// Has not sent SyncGroup in this generation yet.
    var owesSync = false

    package init(
        id: String, instanceID: String?, clientID: String, clientHost: String, rebalanceTimeout: Duration, sessionTimeout: Duration,
        protocolType: String, protocols: [GroupProtocol], assignment: ByteBuffer = ByteBuffer(),
        sessionDeadline: MonotonicInstant = MonotonicInstant(nanoseconds: 0)
    ) {
        self.id = id
        self.instanceID = instanceID
        self.clientID = clientID
        self.clientHost = clientHost
        self.rebalanceTimeout = rebalanceTimeout
        self.sessionTimeout = sessionTimeout
        self.protocolType = protocolType
        self.protocols = protocols
        self.assignment = assignment
        self.sessionDeadline = sessionDeadline
    }

    /// When the member counts as gone; nil while an answer of ours is what it waits for.
    var deadline: MonotonicInstant? { (join != nil || sync != nil) && !isNew ? nil : sessionDeadline }

    package func metadata(for protocolName: String?) -> ByteBuffer {
        protocols.first { $0.name == protocolName }?.metadata ?? ByteBuffer()
    }
}

/// What a JoinGroup asks.
package struct JoinGroupCall: Sendable {
    /// Empty for a member that has none yet.
    package var memberID: String
    package var instanceID: String?
    /// A fresh id, in case the member has none.
    package var candidateID: String
    /// Since version 4 a member without id is only told one, so that a broken connection leaves no ghost in the group (KIP-394).
    package var requiresKnownMemberID: Bool
    /// Since version 9 a static leader that comes back may be told to leave the assignment as it is (KIP-814).
    package var supportsSkippingAssignment: Bool
    package var clientID: String
    package var clientHost: String
    package var rebalanceTimeout: Duration
    package var sessionTimeout: Duration
    package var protocolType: String
    package var protocols: [GroupProtocol]

    package init(
        memberID: String, instanceID: String? = nil, candidateID: String, requiresKnownMemberID: Bool = false,
        supportsSkippingAssignment: Bool = false, clientID: String, clientHost: String, rebalanceTimeout: Duration,
        sessionTimeout: Duration, protocolType: String, protocols: [GroupProtocol]
    ) {
        self.memberID = memberID
        self.instanceID = instanceID
        self.candidateID = candidateID
        self.requiresKnownMemberID = requiresKnownMemberID
        self.supportsSkippingAssignment = supportsSkippingAssignment
        self.clientID = clientID
        self.clientHost = clientHost
        self.rebalanceTimeout = rebalanceTimeout
        self.sessionTimeout = sessionTimeout
        self.protocolType = protocolType
        self.protocols = protocols
    }
}

package struct JoinGroupAnswer: Sendable, Hashable {
    package struct Member: Sendable, Hashable {
        package var id: String
        package var instanceID: String?
        package var metadata: ByteBuffer
    }

    package var error: ErrorCode
    package var memberID: String
    package var generation: Int32 = -1
    package var protocolType: String?
    package var protocolName: String?
    package var leader = ""
    package var skipsAssignment = false
    /// Only the leader is told.
    package var members: [Member] = []

    package init(error: ErrorCode, memberID: String) {
        self.error = error
        self.memberID = memberID
    }
}

package struct SyncGroupCall: Sendable {
    package var memberID: String
    package var instanceID: String?
    package var generation: Int32
    /// Told since version 5.
    package var protocolType: String?
    package var protocolName: String?
    /// From the leader: by member id.
    package var assignments: [String: ByteBuffer]

    package init(
        memberID: String, instanceID: String? = nil, generation: Int32, protocolType: String? = nil, protocolName: String? = nil,
        assignments: [String: ByteBuffer] = [:]
    ) {
        self.memberID = memberID
        self.instanceID = instanceID
        self.generation = generation
        self.protocolType = protocolType
        self.protocolName = protocolName
        self.assignments = assignments
    }
}

package struct SyncGroupAnswer: Sendable, Hashable {
    package var error: ErrorCode
    package var protocolType: String?
    package var protocolName: String?
    package var assignment: ByteBuffer

    package init(error: ErrorCode, protocolType: String? = nil, protocolName: String? = nil, assignment: ByteBuffer = ByteBuffer())
    {
        self.error = error
        self.protocolType = protocolType
        self.protocolName = protocolName
        self.assignment = assignment
    }
}
