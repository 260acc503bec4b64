//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import Testing

/// A group whose time the test moves.
private struct Driver {
    var group: GroupState
    var seconds: Double = 0
    var lastTicket: UInt64 = 0

    init(initialDelay: Duration = .zero, sizeMax: Int = 100) {
        let limits = GroupState.Limits(
            initialRebalanceDelay: initialDelay, sessionTimeout: Duration.seconds(1)...Duration.seconds(60), sizeMax: sizeMax)
        group = GroupState(id: "g", limits: limits, at: Self.moment(0))
    }

    static func moment(_ seconds: Double) -> GroupState.Moment {
        GroupState.Moment(
            monotonic: MonotonicInstant(nanoseconds: Int64(seconds * 1e9)), wall: Timestamp(Int64(seconds * 1000)))
    }

    var now: GroupState.Moment { Self.moment(seconds) }

    mutating func ticket() -> GroupTicket {
        lastTicket += 1
        return GroupTicket(lastTicket)
    }

    static func call(
        _ memberID: String = "", candidate: String = "", instance: String? = nil, knows: Bool = false, skips: Bool = false,
        type: String = "consumer", protocols: [String] = ["range"], metadata: String = "m"
    ) -> JoinGroupCall {
        JoinGroupCall(
            memberID: memberID, instanceID: instance, candidateID: candidate, requiresKnownMemberID: knows,
            supportsSkippingAssignment: skips, clientID: "c", clientHost: "/h", rebalanceTimeout: .seconds(30),
            sessionTimeout: .seconds(10), protocolType: type,
            protocols: protocols.map { GroupProtocol(name: $0, metadata: ByteBuffer(string: metadata)) })
    }

    mutating func join(_ call: JoinGroupCall) -> (GroupTicket, [GroupState.Action]) {
        let ticket = ticket()
        return (ticket, group.join(call, ticket: ticket, at: now))
    }

    /// Joins and expects an answer to this very request.
    mutating func joined(_ call: JoinGroupCall) throws -> JoinGroupAnswer {
        let (ticket, actions) = join(call)
        return try #require(Self.answer(to: ticket, in: actions))
    }

    static func answer(to ticket: GroupTicket, in actions: [GroupState.Action]) -> JoinGroupAnswer? {
        for case .answerJoin(ticket, let answer) in actions { return answer }
        return nil
    }

    static func syncAnswer(to ticket: GroupTicket, in actions: [GroupState.Action]) -> SyncGroupAnswer? {
        for case .answerSync(ticket, let answer) in actions { return answer }
        return nil
    }

    static func snapshot(in actions: [GroupState.Action]) -> GroupSnapshot? {
        for case .store(let snapshot) in actions { return snapshot }
        return nil
    }

    mutating func sync(_ memberID: String, assignments: [String: String] = [:]) -> (GroupTicket, [GroupState.Action]) {
        let ticket = ticket()
        let call = SyncGroupCall(
            memberID: memberID, generation: group.generation, assignments: assignments.mapValues { ByteBuffer(string: $0) })
        return (ticket, group.sync(call, ticket: ticket, at: now))
    }

    /// A stable group of "a" (the leader) and "b".
    static func stableOfTwo() throws -> Driver {
        var driver = Driver()
        _ = try driver.joined(call(candidate: "a"))
        let (b, _) = driver.join(call(candidate: "b"))
        let (_, actions) = driver.join(call("a"))
        _ = try #require(answer(to: b, in: actions))
        let (syncB, _) = driver.sync("b")
        let (syncA, stores) = driver.sync("a", assignments: ["a": "0", "b": "1"])
        _ = try #require(snapshot(in: stores))
        let done = driver.group.stored(generation: driver.group.generation, failure: nil, at: driver.now)
        #expect(syncAnswer(to: syncA, in: done)?.assignment == ByteBuffer(string: "0"))
        #expect(syncAnswer(to: syncB, in: done)?.assignment == ByteBuffer(string: "1"))
        #expect(driver.group.phase == .stable)
        return driver
    }
}

@Suite struct GroupStateTests {
    @Test func theFirstMemberLeadsAGenerationOfItsOwn() throws {
        var driver = Driver()
        let answer = try driver.joined(Driver.call(candidate: "a"))
        #expect(answer.error == .none)
        #expect(answer.leader == "a")
        #expect(answer.generation == 1)
        #expect(answer.protocolName == "range")
        #expect(answer.members.map(\.id) == ["a"])
        #expect(driver.group.phase == .completingRebalance)
    }

    @Test func theAssignmentGoesOutOnlyOnceItIsStored() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "a"))
        let (ticket, actions) = driver.sync("a", assignments: ["a": "all"])
        #expect(Driver.syncAnswer(to: ticket, in: actions) == nil)
        #expect(Driver.snapshot(in: actions)?.members.map(\.assignment) == [ByteBuffer(string: "all")])
        let done = driver.group.stored(generation: 1, failure: nil, at: driver.now)
        #expect(Driver.syncAnswer(to: ticket, in: done)?.assignment == ByteBuffer(string: "all"))
        #expect(driver.group.phase == .stable)
    }

    @Test func anAssignmentThatCannotBeStoredBringsANewRebalance() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "a"))
        let (ticket, _) = driver.sync("a", assignments: ["a": "all"])
        let done = driver.group.stored(generation: 1, failure: .coordinatorNotAvailable, at: driver.now)
        #expect(Driver.syncAnswer(to: ticket, in: done)?.error == .coordinatorNotAvailable)
        #expect(driver.group.phase == .preparingRebalance)
    }

    @Test func aSecondMemberBringsARebalanceThatTheFirstLearnsOfByHeartbeat() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "a"))
        let (b, actions) = driver.join(Driver.call(candidate: "b"))
        #expect(actions.isEmpty)
        #expect(driver.group.heartbeat(memberID: "a", instanceID: nil, generation: 1, at: driver.now) == .rebalanceInProgress)
        let (a, both) = driver.join(Driver.call("a"))
        #expect(Driver.answer(to: a, in: both)?.members.map(\.id) == ["a", "b"])
        #expect(Driver.answer(to: b, in: both)?.members == [])
        #expect(Driver.answer(to: b, in: both)?.leader == "a")
        #expect(driver.group.generation == 2)
    }

    @Test func membersWithoutAnIdAreToldOneAndCountOnlyWithIt() throws {
        var driver = Driver()
        let first = try driver.joined(Driver.call(candidate: "a", knows: true))
        #expect(first.error == .memberIdRequired)
        #expect(first.memberID == "a")
        #expect(driver.group.memberCount == 0)
        let second = try driver.joined(Driver.call("a", knows: true))
        #expect(second.error == .none)
        #expect(second.memberID == "a")
    }

    @Test func anIdThatIsNeverUsedIsGivenUp() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "a"))
        _ = driver.sync("a", assignments: ["a": "x"])
        _ = driver.group.stored(generation: 1, failure: nil, at: driver.now)
        _ = try driver.joined(Driver.call(candidate: "ghost", knows: true))
        // A rebalance waits for those who were given an id.
        let (again, waiting) = driver.join(Driver.call("a"))
        #expect(waiting.isEmpty)
        driver.seconds = 10
        let late = driver.group.tick(at: driver.now)
        #expect(Driver.answer(to: again, in: late)?.members.map(\.id) == ["a"])
        #expect(try driver.joined(Driver.call("ghost")).error == .unknownMemberId)
    }

    @Test func aSilentMemberGoesAndTheOthersRebalance() throws {
        var driver = try Driver.stableOfTwo()
        driver.seconds = 9
        #expect(driver.group.heartbeat(memberID: "a", instanceID: nil, generation: 2, at: driver.now) == .none)
        driver.seconds = 10
        #expect(driver.group.nextDeadline == MonotonicInstant(nanoseconds: 10_000_000_000))
        _ = driver.group.tick(at: driver.now)
        #expect(driver.group.phase == .preparingRebalance)
        #expect(driver.group.memberCount == 1)
        let (a, actions) = driver.join(Driver.call("a"))
        #expect(Driver.answer(to: a, in: actions)?.generation == 3)
    }

    @Test func whoDoesNotJoinInTimeIsLeftOut() throws {
        var driver = try Driver.stableOfTwo()
        let (b, _) = driver.join(Driver.call("b", metadata: "changed"))
        for second in stride(from: 5.0, through: 25, by: 5) {
            driver.seconds = second
            _ = driver.group.heartbeat(memberID: "a", instanceID: nil, generation: 2, at: driver.now)
            #expect(driver.group.tick(at: driver.now).isEmpty)
        }
        driver.seconds = 30
        let late = driver.group.tick(at: driver.now)
        #expect(Driver.answer(to: b, in: late)?.leader == "b")
        #expect(driver.group.memberCount == 1)
        #expect(driver.group.heartbeat(memberID: "a", instanceID: nil, generation: 3, at: driver.now) == .unknownMemberId)
    }

    @Test func whoDoesNotSynchroniseInTimeIsTakenOut() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "a"))
        for second in stride(from: 5.0, through: 25, by: 5) {
            driver.seconds = second
            #expect(driver.group.heartbeat(memberID: "a", instanceID: nil, generation: 1, at: driver.now) == .none)
        }
        driver.seconds = 30
        _ = driver.group.tick(at: driver.now)
        #expect(driver.group.memberCount == 0)
        #expect(driver.group.phase == .empty)
    }

    @Test func theInitialDelayWaitsForMoreMembersAndIsExtendedByThem() throws {
        var driver = Driver(initialDelay: .seconds(3))
        let (a, first) = driver.join(Driver.call(candidate: "a"))
        #expect(first.isEmpty)
        driver.seconds = 2
        let (b, second) = driver.join(Driver.call(candidate: "b"))
        #expect(second.isEmpty)
        driver.seconds = 3
        #expect(driver.group.tick(at: driver.now).isEmpty)
        driver.seconds = 6
        let actions = driver.group.tick(at: driver.now)
        #expect(Driver.answer(to: a, in: actions)?.members.map(\.id) == ["a", "b"])
        #expect(Driver.answer(to: b, in: actions)?.generation == 1)
    }

    @Test func leavingMakesTheOthersRebalanceAndTheLastLeavesItEmpty() throws {
        var driver = try Driver.stableOfTwo()
        #expect(driver.group.leave(memberID: "a", instanceID: nil, at: driver.now).error == .none)
        #expect(driver.group.phase == .preparingRebalance)
        #expect(driver.group.leader == "b")
        let (error, actions) = driver.group.leave(memberID: "b", instanceID: nil, at: driver.now)
        #expect(error == .none)
        #expect(driver.group.phase == .empty)
        #expect(Driver.snapshot(in: actions)?.members == [])
        #expect(driver.group.leave(memberID: "b", instanceID: nil, at: driver.now).error == .unknownMemberId)
    }

    @Test func theProtocolIsOneThatAllKnowAndMostPrefer() throws {
        var driver = Driver()
        _ = driver.join(Driver.call(candidate: "a", protocols: ["range", "sticky"]))
        _ = driver.join(Driver.call(candidate: "b", protocols: ["sticky", "range"]))
        let (c, _) = driver.join(Driver.call(candidate: "c", protocols: ["sticky", "range", "other"]))
        let (_, actions) = driver.join(Driver.call("a", protocols: ["range", "sticky"]))
        #expect(Driver.answer(to: c, in: actions)?.protocolName == "sticky")
        #expect(try driver.joined(Driver.call(candidate: "d", protocols: ["unknown"])).error == .inconsistentGroupProtocol)
        #expect(try driver.joined(Driver.call(candidate: "d", type: "connect")).error == .inconsistentGroupProtocol)
        #expect(try driver.joined(Driver.call(candidate: "d", protocols: [])).error == .inconsistentGroupProtocol)
    }

    @Test func aFollowerThatJoinsAgainUnchangedDisturbsNobody() throws {
        var driver = try Driver.stableOfTwo()
        let answer = try driver.joined(Driver.call("b"))
        #expect(answer.generation == 2)
        #expect(answer.members == [])
        #expect(driver.group.phase == .stable)
    }

    @Test func aLeaderThatJoinsAgainBringsARebalance() throws {
        var driver = try Driver.stableOfTwo()
        let (_, actions) = driver.join(Driver.call("a"))
        #expect(actions.isEmpty)
        #expect(driver.group.phase == .preparingRebalance)
    }

    @Test func synchronisingAgainInAStableGroupGetsTheSameAssignment() throws {
        var driver = try Driver.stableOfTwo()
        let (ticket, actions) = driver.sync("b")
        #expect(Driver.syncAnswer(to: ticket, in: actions)?.assignment == ByteBuffer(string: "1"))
    }

    @Test func wrongGenerationsAndMembersAreRefused() throws {
        var driver = try Driver.stableOfTwo()
        #expect(driver.group.heartbeat(memberID: "a", instanceID: nil, generation: 1, at: driver.now) == .illegalGeneration)
        #expect(driver.group.heartbeat(memberID: "z", instanceID: nil, generation: 2, at: driver.now) == .unknownMemberId)
        #expect(driver.group.commit(memberID: "a", instanceID: nil, generation: 2, at: driver.now) == .none)
        #expect(driver.group.commit(memberID: "a", instanceID: nil, generation: 1, at: driver.now) == .illegalGeneration)
        #expect(driver.group.commit(memberID: "", instanceID: nil, generation: -1, at: driver.now) == .unknownMemberId)
        let ticket = driver.ticket()
        let wrong = driver.group.sync(
            SyncGroupCall(memberID: "a", generation: 2, protocolType: "consumer", protocolName: "other"), ticket: ticket,
            at: driver.now)
        #expect(Driver.syncAnswer(to: ticket, in: wrong)?.error == .inconsistentGroupProtocol)
    }

    @Test func offsetsMayBeCommittedWithoutMembershipWhileTheGroupIsEmpty() {
        var driver = Driver()
        #expect(driver.group.commit(memberID: "", instanceID: nil, generation: -1, at: driver.now) == .none)
    }

    @Test func commitsDuringTheHandOutOfTheAssignmentAreToWait() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "a"))
        #expect(driver.group.commit(memberID: "a", instanceID: nil, generation: 1, at: driver.now) == .rebalanceInProgress)
    }

    @Test func sessionTimeoutsOutsideTheLimitsAndTooManyMembersAreRefused() throws {
        var driver = Driver(sizeMax: 1)
        var call = Driver.call(candidate: "a")
        call.sessionTimeout = .milliseconds(1)
        #expect(try driver.joined(call).error == .invalidSessionTimeout)
        _ = try driver.joined(Driver.call(candidate: "a"))
        #expect(try driver.joined(Driver.call(candidate: "b")).error == .groupMaxSizeReached)
    }

    @Test func aStaticMemberThatComesBackTakesItsPlaceWithoutARebalance() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "s-1", instance: "s"))
        let (_, _) = driver.sync("s-1", assignments: ["s-1": "x"])
        _ = driver.group.sync(
            SyncGroupCall(
                memberID: "s-1", instanceID: "s", generation: 1, assignments: ["s-1": ByteBuffer(string: "x")]),
            ticket: driver.ticket(), at: driver.now)
        _ = driver.group.stored(generation: 1, failure: nil, at: driver.now)
        #expect(driver.group.phase == .stable)

        let (ticket, actions) = driver.join(Driver.call(candidate: "s-2", instance: "s", skips: true))
        guard case .storeThenAnswerJoin(let snapshot, ticket, let answer)? = actions.first else {
            Issue.record("the new member id is not stored: \(actions)")
            return
        }
        #expect(snapshot.members.map(\.id) == ["s-2"])
        #expect(snapshot.members.map(\.assignment) == [ByteBuffer(string: "x")])
        #expect(answer.generation == 1)
        #expect(answer.leader == "s-2")
        #expect(answer.skipsAssignment)
        #expect(driver.group.heartbeat(memberID: "s-1", instanceID: "s", generation: 1, at: driver.now) == .fencedInstanceId)
        #expect(driver.group.heartbeat(memberID: "s-2", instanceID: "s", generation: 1, at: driver.now) == .none)
    }

    @Test func anOldClientThatLedIsNotToldThatItLeads() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "s-1", instance: "s"))
        _ = driver.group.sync(
            SyncGroupCall(memberID: "s-1", instanceID: "s", generation: 1), ticket: driver.ticket(), at: driver.now)
        _ = driver.group.stored(generation: 1, failure: nil, at: driver.now)
        let (_, actions) = driver.join(Driver.call(candidate: "s-2", instance: "s"))
        guard case .storeThenAnswerJoin(_, _, let answer)? = actions.first else {
            Issue.record("no answer: \(actions)")
            return
        }
        #expect(answer.leader == "s-1")
        #expect(answer.members == [])
    }

    @Test func aStaticMemberKeepsItsPlaceInARebalanceItMisses() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "s-1", instance: "s"))
        let (b, _) = driver.join(Driver.call(candidate: "b"))
        for second in [9.0, 18, 27] {
            driver.seconds = second
            _ = driver.group.heartbeat(memberID: "s-1", instanceID: "s", generation: 1, at: driver.now)
        }
        driver.seconds = 30
        let late = driver.group.tick(at: driver.now)
        let answer = try #require(Driver.answer(to: b, in: late))
        #expect(answer.error == .none)
        #expect(answer.leader == "b")
        #expect(Set(answer.members.map(\.id)) == ["s-1", "b"])
    }

    @Test func anAdministratorTakesAStaticMemberOutByItsInstance() throws {
        var driver = Driver()
        _ = try driver.joined(Driver.call(candidate: "s-1", instance: "s"))
        #expect(driver.group.leave(memberID: "other", instanceID: "s", at: driver.now).error == .fencedInstanceId)
        #expect(driver.group.leave(memberID: "", instanceID: "s", at: driver.now).error == .none)
        #expect(driver.group.memberCount == 0)
    }

    @Test func aGroupThatMovesAwayAnswersWhoWaits() throws {
        var driver = try Driver.stableOfTwo()
        let (ticket, _) = driver.join(Driver.call("a"))
        let actions = driver.group.die(.notCoordinator, at: driver.now)
        #expect(Driver.answer(to: ticket, in: actions)?.error == .notCoordinator)
        #expect(driver.group.phase == .dead)
        #expect(try driver.joined(Driver.call(candidate: "n")).error == .coordinatorNotAvailable)
    }

    @Test func aRestoredGroupGoesOnWhereItWas() throws {
        let stable = try Driver.stableOfTwo()
        var driver = Driver()
        driver.group = GroupState(restoring: stable.group.snapshot, limits: stable.group.limits, at: driver.now)
        #expect(driver.group.phase == .stable)
        #expect(driver.group.generation == 2)
        #expect(driver.group.leader == "a")
        #expect(driver.group.snapshot == stable.group.snapshot)
        #expect(driver.group.heartbeat(memberID: "b", instanceID: nil, generation: 2, at: driver.now) == .none)
        #expect(try driver.joined(Driver.call("b")).generation == 2)
    }

    @Test(arguments: 0..<50) func randomHistoriesLeaveNobodyWithoutAnAnswer(_ seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var driver = Driver(initialDelay: seed % 2 == 0 ? .zero : .seconds(3))
        var open: Set<GroupTicket> = []
        var ids: [String] = []
        func settle(_ actions: [GroupState.Action], _ driver: inout Driver) {
            var actions = actions[...]
            while let action = actions.popFirst() {
                switch action {
                case .answerJoin(let ticket, let answer):
                    #expect(open.remove(ticket) != nil, "answered twice")
                    if answer.error == .none || answer.error == .memberIdRequired { ids.append(answer.memberID) }
                case .answerSync(let ticket, _): #expect(open.remove(ticket) != nil, "answered twice")
                case .store(let snapshot):
                    actions += driver.group.stored(generation: snapshot.generation, failure: nil, at: driver.now)
                case .storeThenAnswerJoin(_, let ticket, _): #expect(open.remove(ticket) != nil, "answered twice")
                }
            }
        }
        for step in 0..<200 {
            let id = ids.randomElement(using: &random) ?? ""
            switch Int.random(in: 0..<7, using: &random) {
            case 0:
                let (ticket, actions) = driver.join(Driver.call(candidate: "m\(step)", knows: Bool.random(using: &random)))
                open.insert(ticket)
                settle(actions, &driver)
            case 1, 2:
                let (ticket, actions) = driver.join(Driver.call(id, candidate: "m\(step)"))
                open.insert(ticket)
                settle(actions, &driver)
            case 3, 4:
                let (ticket, actions) = driver.sync(id)
                open.insert(ticket)
                settle(actions, &driver)
            case 5: settle(driver.group.leave(memberID: id, instanceID: nil, at: driver.now).actions, &driver)
            default:
                driver.seconds += Double.random(in: 0..<8, using: &random)
                settle(driver.group.tick(at: driver.now), &driver)
            }
        }
        // Time alone must bring every waiting request to an end.
        for _ in 0..<1000 {
            guard let next = driver.group.nextDeadline else { break }
            driver.seconds = max(driver.seconds, Double(next.nanoseconds) / 1e9 + 1e-6)
            settle(driver.group.tick(at: driver.now), &driver)
        }
        #expect(open.isEmpty, "\(open.count) requests of seed \(seed) were never answered")
        #expect(driver.group.memberCount == 0)
    }
}

private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
