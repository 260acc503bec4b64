//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// A group as its log keeps it: what a new coordinator must know to go on.
package struct GroupSnapshot: Sendable, Hashable {
    package struct Member: Sendable, Hashable {
        package var id: String
        package var instanceID: String?
        package var clientID: String
        package var clientHost: String
        package var rebalanceTimeout: Duration
        package var sessionTimeout: Duration
        package var subscription: ByteBuffer
        package var assignment: ByteBuffer

        package init(
            id: String, instanceID: String?, clientID: String, clientHost: String, rebalanceTimeout: Duration,
            sessionTimeout: Duration, subscription: ByteBuffer, assignment: ByteBuffer
        ) {
            self.id = id
            self.instanceID = instanceID
            self.clientID = clientID
            self.clientHost = clientHost
            self.rebalanceTimeout = rebalanceTimeout
            self.sessionTimeout = sessionTimeout
            self.subscription = subscription
            self.assignment = assignment
        }
    }

    package var groupID: String
    /// Empty for a group that only keeps offsets.
    package var protocolType: String
    package var generation: Int32
    package var protocolName: String?
    package var leader: String?
    package var phaseSince: Timestamp
    package var members: [Member]

    package init(
        groupID: String, protocolType: String, generation: Int32, protocolName: String?, leader: String?, phaseSince: Timestamp,
        members: [Member]
    ) {
        self.groupID = groupID
        self.protocolType = protocolType
        self.generation = generation
        self.protocolName = protocolName
        self.leader = leader
        self.phaseSince = phaseSince
        self.members = members
    }
}
