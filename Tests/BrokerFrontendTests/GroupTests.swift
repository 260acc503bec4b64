//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

/// Groups as clients see them, through the frontend and a log.
@Suite struct GroupTests {
    private static let group = "readers"

    private func cluster(_ settings: [String: String] = [:]) async throws -> (TestCluster, TestBroker) {
        let cluster = try await TestCluster()
        let broker = try await cluster.broker(0, settings: settings)
        try await broker.createTopic("t", partitions: 2)
        try await prepareGroups(broker)
        return (cluster, broker)
    }

    /// Has the topic that groups are kept in made, and waits until its groups are loaded.
    private func prepareGroups(_ broker: TestBroker) async throws {
        _ = try await broker.ask(FindCoordinatorRequest(key: Self.group), version: 3)
        try await broker.opened("__consumer_offsets")
        try await eventually { try await broker.ask(ListGroupsRequest(), version: 4).errorCode == .none }
        try await eventually {
            try await broker.ask(OffsetFetchRequest(groupId: Self.group, topics: nil), version: 5).errorCode == .none
        }
    }

    private static func joinRequest(_ memberID: String = "", instance: String? = nil, session: Int32 = 10_000) -> JoinGroupRequest {
        JoinGroupRequest(
            groupId: group, sessionTimeoutMs: session, rebalanceTimeoutMs: 60_000, memberId: memberID, groupInstanceId: instance,
            protocolType: "consumer",
            protocols: [JoinGroupRequest.JoinGroupRequestProtocol(name: "range", metadata: ByteBuffer(string: "meta"))])
    }

    /// Joins as the only member and takes the whole assignment.
    private func joinAlone(_ broker: TestBroker) async throws -> JoinGroupResponse {
        let first = try await broker.ask(Self.joinRequest(), version: 7)
        #expect(first.errorCode == .memberIdRequired)
        let joined = try await broker.ask(Self.joinRequest(first.memberId), version: 7)
        #expect(joined.errorCode == .none)
        let synced = try await broker.ask(
            SyncGroupRequest(
                groupId: Self.group, generationId: joined.generationId, memberId: joined.memberId, protocolType: "consumer",
                protocolName: "range",
                assignments: [
                    SyncGroupRequest.SyncGroupRequestAssignment(memberId: joined.memberId, assignment: ByteBuffer(string: "all"))
                ]), version: 5)
        #expect(synced.errorCode == .none)
        #expect(synced.assignment == ByteBuffer(string: "all"))
        return joined
    }

    private static func commitRequest(
        _ offset: Int64, member: JoinGroupResponse? = nil, metadata: String? = "note"
    ) -> OffsetCommitRequest {
        OffsetCommitRequest(
            groupId: group, generationIdOrMemberEpoch: member?.generationId ?? -1, memberId: member?.memberId ?? "",
            topics: [
                OffsetCommitRequest.OffsetCommitRequestTopic(
                    name: "t",
                    partitions: [
                        OffsetCommitRequest.OffsetCommitRequestPartition(
                            partitionIndex: 1, committedOffset: offset, committedMetadata: metadata)
                    ])
            ])
    }

    private func committed(_ broker: TestBroker, version: Int16 = 7) async throws
        -> OffsetFetchResponse.OffsetFetchResponsePartition
    {
        let response = try await broker.ask(
            OffsetFetchRequest(
                groupId: Self.group, topics: [OffsetFetchRequest.OffsetFetchRequestTopic(name: "t", partitionIndexes: [1])]),
            version: version)
        return response.topics[0].partitions[0]
    }

    @Test func theCoordinatorsTopicIsMadeWhenFirstAskedFor() async throws {
        let broker = try await TestCluster().broker()
        let found = try await broker.ask(FindCoordinatorRequest(key: Self.group), version: 2)
        #expect(found.errorCode == .none)
        #expect(found.nodeId == 0)
        #expect(found.port == 9092)
        let topic = try #require(broker.metadata.current.topic(named: "__consumer_offsets"))
        #expect(topic.isInternal)
        #expect(topic.partitionCount == 2)
    }

    @Test func severalGroupsAreLookedUpAtOnce() async throws {
        let (_, broker) = try await cluster()
        let found = try await broker.ask(FindCoordinatorRequest(coordinatorKeys: ["a", "b", ""]), version: 4)
        #expect(found.coordinators.map(\.key) == ["a", "b", ""])
        #expect(found.coordinators.map(\.errorCode) == [.none, .none, .invalidGroupId])
    }

    @Test func transactionsAreRefusedWithAWord() async throws {
        let broker = try await TestCluster().broker()
        let found = try await broker.ask(FindCoordinatorRequest(key: "tx", keyType: 1), version: 3)
        #expect(found.errorCode == .transactionalIdAuthorizationFailed)
        #expect(found.errorMessage == "transactions are not there yet")
        let initialised = try await broker.ask(InitProducerIdRequest(transactionalId: "tx"), version: 4)
        #expect(initialised.errorCode == .transactionalIdAuthorizationFailed)
    }

    @Test func aMemberJoinsSynchronisesBeatsAndLeaves() async throws {
        let (_, broker) = try await cluster()
        let member = try await joinAlone(broker)
        func beat() async throws -> ErrorCode {
            try await broker.ask(
                HeartbeatRequest(groupId: Self.group, generationId: member.generationId, memberId: member.memberId), version: 4
            ).errorCode
        }
        #expect(try await beat() == .none)
        let left = try await broker.ask(LeaveGroupRequest(groupId: Self.group, memberId: member.memberId), version: 2)
        #expect(left.errorCode == .none)
        #expect(try await beat() == .unknownMemberId)
    }

    @Test func twoMembersShareTheWorkAfterARebalance() async throws {
        let (_, broker) = try await cluster()
        let first = try await joinAlone(broker)
        let second = try await broker.ask(Self.joinRequest(), version: 7)
        async let secondJoins = broker.ask(Self.joinRequest(second.memberId), version: 7)
        try await eventually {
            try await broker.ask(
                HeartbeatRequest(groupId: Self.group, generationId: first.generationId, memberId: first.memberId), version: 4
            ).errorCode == .rebalanceInProgress
        }
        let firstAgain = try await broker.ask(Self.joinRequest(first.memberId), version: 7)
        let secondJoined = try await secondJoins
        #expect(firstAgain.generationId == 2)
        #expect(secondJoined.generationId == 2)
        #expect(secondJoined.leader == first.memberId)
        #expect(Set(firstAgain.members.map(\.memberId)) == [first.memberId, second.memberId])
        #expect(secondJoined.members.isEmpty)
    }

    @Test func offsetsComeBackWithTheirMetadata() async throws {
        let (_, broker) = try await cluster()
        #expect(try await committed(broker).committedOffset == -1)
        let response = try await broker.ask(Self.commitRequest(42), version: 8)
        #expect(response.topics[0].partitions[0].errorCode == .none)
        let found = try await committed(broker)
        #expect(found.committedOffset == 42)
        #expect(found.metadata == "note")
    }

    @Test(arguments: Int16(2)...9) func everyVersionCommits(_ version: Int16) async throws {
        let (_, broker) = try await cluster()
        let response = try await broker.ask(Self.commitRequest(42), version: version)
        #expect(response.topics[0].partitions[0].errorCode == .none)
    }

    @Test(arguments: Int16(1)...7) func everyVersionFetchesOffsetsOfOneGroup(_ version: Int16) async throws {
        let (_, broker) = try await cluster()
        _ = try await broker.ask(Self.commitRequest(42), version: 8)
        #expect(try await committed(broker, version: version).committedOffset == 42)
    }

    @Test func offsetsOfSeveralGroupsAreFetchedAtOnce() async throws {
        let (_, broker) = try await cluster()
        _ = try await broker.ask(Self.commitRequest(42), version: 8)
        let response = try await broker.ask(
            OffsetFetchRequest(groups: [
                OffsetFetchRequest.OffsetFetchRequestGroup(groupId: Self.group, topics: nil),
                OffsetFetchRequest.OffsetFetchRequestGroup(
                    groupId: Self.group,
                    topics: [OffsetFetchRequest.OffsetFetchRequestTopics(name: "t", partitionIndexes: [0, 1])]),
            ]), version: 8)
        #expect(response.groups[0].topics[0].partitions.map(\.committedOffset) == [42])
        #expect(response.groups[1].topics[0].partitions.map(\.committedOffset) == [-1, 42])
    }

    @Test func commitsForUnknownTopicsOrWithTooMuchTextAreRefused() async throws {
        let (_, broker) = try await cluster()
        var request = Self.commitRequest(1)
        request.topics[0].name = "none"
        #expect(try await broker.ask(request, version: 8).topics[0].partitions[0].errorCode == .unknownTopicOrPartition)
        let long = Self.commitRequest(1, metadata: String(repeating: "x", count: 5000))
        #expect(try await broker.ask(long, version: 8).topics[0].partitions[0].errorCode == .offsetMetadataTooLarge)
    }

    @Test func groupsAndOffsetsSurviveARestart() async throws {
        let (cluster, broker) = try await cluster()
        let member = try await joinAlone(broker)
        _ = try await broker.ask(Self.commitRequest(41, member: member), version: 8)
        _ = try await broker.ask(Self.commitRequest(42, member: member), version: 8)
        await broker.stop()

        let again = try await cluster.broker(0)
        try await prepareGroups(again)
        #expect(try await committed(again).committedOffset == 42)
        // The member goes on as if nothing had happened.
        let beat = HeartbeatRequest(groupId: Self.group, generationId: member.generationId, memberId: member.memberId)
        #expect(try await again.ask(beat, version: 4).errorCode == .none)
        let described = try await again.ask(DescribeGroupsRequest(groups: [Self.group]), version: 5).groups[0]
        #expect(described.groupState == "Stable")
        #expect(described.members.map(\.memberId) == [member.memberId])
        #expect(described.members.map(\.memberAssignment) == [ByteBuffer(string: "all")])
    }

    @Test func groupsFollowTheLeaderOfTheirPartition() async throws {
        let (cluster, first) = try await cluster()
        let second = try await cluster.broker(1)
        _ = try await first.ask(Self.commitRequest(7), version: 8)
        let number = try await partition(of: Self.group, on: first)
        try await cluster.move("__consumer_offsets", number, to: second.id)
        try await eventually {
            let response = try await first.ask(OffsetFetchRequest(groupId: Self.group, topics: nil), version: 5)
            return response.errorCode == .notCoordinator
        }
        try await eventually {
            try await second.ask(OffsetFetchRequest(groupId: Self.group, topics: nil), version: 5).errorCode == .none
        }
        #expect(try await committed(second).committedOffset == 7)
        #expect(try await second.ask(FindCoordinatorRequest(key: Self.group), version: 3).nodeId == 1)
    }

    @Test func whoWaitsToJoinIsToldWhenTheCoordinatorMoves() async throws {
        let (cluster, first) = try await cluster(["group.initial.rebalance.delay.ms": "3000"])
        let id = try await first.ask(Self.joinRequest(), version: 7).memberId
        async let waiting = first.ask(Self.joinRequest(id), version: 7)
        try await eventually {
            try await first.ask(DescribeGroupsRequest(groups: [Self.group]), version: 5).groups[0].groupState
                == "PreparingRebalance"
        }
        let second = try await cluster.broker(1)
        try await cluster.move("__consumer_offsets", try await partition(of: Self.group, on: first), to: second.id)
        #expect(try await waiting.errorCode == .notCoordinator)
    }

    @Test func theInitialDelayIsWaitedFor() async throws {
        let (cluster, broker) = try await cluster(["group.initial.rebalance.delay.ms": "3000"])
        let id = try await broker.ask(Self.joinRequest(), version: 7).memberId
        async let waiting = broker.ask(Self.joinRequest(id), version: 7)
        try await eventually {
            try await broker.ask(DescribeGroupsRequest(groups: [Self.group]), version: 5).groups[0].groupState
                == "PreparingRebalance"
        }
        cluster.clock.advance(by: .seconds(3))
        #expect(try await waiting.generationId == 1)
    }

    @Test func aSilentMembersSessionEnds() async throws {
        let (cluster, broker) = try await cluster()
        _ = try await joinAlone(broker)
        cluster.clock.advance(by: .seconds(11))
        try await eventually {
            try await broker.ask(DescribeGroupsRequest(groups: [Self.group]), version: 5).groups[0].groupState == "Empty"
        }
    }

    @Test func groupsAreListedDescribedAndDeleted() async throws {
        let (_, broker) = try await cluster()
        let member = try await joinAlone(broker)
        let listed = try await broker.ask(ListGroupsRequest(statesFilter: ["stable"]), version: 4).groups
        #expect(listed.map(\.groupId) == [Self.group])
        #expect(listed.map(\.groupState) == ["Stable"])
        #expect(try await broker.ask(ListGroupsRequest(statesFilter: ["Empty"]), version: 4).groups == [])
        let described = try await broker.ask(DescribeGroupsRequest(groups: [Self.group, "nobody"]), version: 5).groups
        #expect(described.map(\.groupState) == ["Stable", "Dead"])
        #expect(described[0].members.map(\.clientHost) == ["/127.0.0.1"])
        #expect(described[0].members.map(\.clientId) == ["tester"])

        let delete = DeleteGroupsRequest(groupsNames: [Self.group, "nobody"])
        #expect(try await broker.ask(delete, version: 2).results.map(\.errorCode) == [.nonEmptyGroup, .groupIdNotFound])
        _ = try await broker.ask(LeaveGroupRequest(groupId: Self.group, memberId: member.memberId), version: 2)
        #expect(try await broker.ask(delete, version: 2).results[0].errorCode == .none)
        #expect(try await broker.ask(ListGroupsRequest(), version: 4).groups == [])
    }

    @Test func aDeletedGroupStaysDeletedAfterARestart() async throws {
        let (cluster, broker) = try await cluster()
        _ = try await broker.ask(Self.commitRequest(42), version: 8)
        _ = try await broker.ask(DeleteGroupsRequest(groupsNames: [Self.group]), version: 2)
        await broker.stop()
        let again = try await cluster.broker(0)
        try await prepareGroups(again)
        #expect(try await committed(again).committedOffset == -1)
    }

    @Test func offsetsAreDeletedOneByOne() async throws {
        let (_, broker) = try await cluster()
        _ = try await broker.ask(Self.commitRequest(42), version: 8)
        let response = try await broker.ask(
            OffsetDeleteRequest(
                groupId: Self.group,
                topics: [
                    OffsetDeleteRequest.OffsetDeleteRequestTopic(
                        name: "t", partitions: [OffsetDeleteRequest.OffsetDeleteRequestPartition(partitionIndex: 1)])
                ]), version: 0)
        #expect(response.topics[0].partitions[0].errorCode == .none)
        #expect(try await committed(broker).committedOffset == -1)
    }

    @Test func offsetsOfAGroupWithoutMembersExpire() async throws {
        let (cluster, broker) = try await cluster(["offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000"])
        _ = try await broker.ask(Self.commitRequest(42), version: 8)
        for _ in 0..<70 {
            await eventually { cluster.clock.sleeperCount > 0 }
            cluster.clock.advance(by: .seconds(1))
        }
        try await eventually {
            cluster.clock.advance(by: .seconds(1))
            return try await committed(broker).committedOffset == -1
        }
    }

    @Test func aBrokerThatIsNotTheCoordinatorSaysSo() async throws {
        let (cluster, _) = try await cluster()
        let other = try await cluster.broker(1)
        #expect(try await other.ask(HeartbeatRequest(groupId: Self.group), version: 4).errorCode == .notCoordinator)
        #expect(try await other.ask(Self.joinRequest(), version: 7).errorCode == .notCoordinator)
        #expect(try await other.ask(Self.commitRequest(1), version: 8).topics[0].partitions[0].errorCode == .notCoordinator)
        #expect(try await other.ask(Self.joinRequest(), version: 0).errorCode == .notCoordinator)
    }

    @Test func theEmptyGroupNameIsRefused() async throws {
        let (_, broker) = try await cluster()
        var request = Self.joinRequest()
        request.groupId = ""
        #expect(try await broker.ask(request, version: 7).errorCode == .invalidGroupId)
    }

    private func partition(of group: String, on broker: TestBroker) async throws -> Int32 {
        // The hash that Java gives, by hand: the frontend's own is checked by where it looks.
        var hash: Int32 = 0
        for unit in group.utf16 { hash = hash &* 31 &+ Int32(unit) }
        return abs(hash) % 2
    }
}
