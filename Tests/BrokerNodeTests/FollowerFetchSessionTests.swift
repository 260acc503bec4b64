//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import KafkaProtocol
import LogModel
import ReplicatedLog
import Testing

/// What a follower tells its leader, fetch after fetch (KIP-227).
@Suite struct FollowerFetchSessionTests {
    private let topic = TopicID(high: 1, low: 2)

    private func request(_ partition: Int32, from offset: Int64 = 0) -> ReplicaFetchRequest {
        ReplicaFetchRequest(
            partition: PartitionID(topicID: topic, topic: "t", partition: partition), fetchOffset: Offset(offset),
            currentLeaderEpoch: LeaderEpoch(1), lastFetchedEpoch: .none, logStart: .zero, maxBytes: 1 << 20)
    }

    private func prepared(_ session: inout FollowerFetchSession, _ requests: [ReplicaFetchRequest]) -> FetchRequest {
        var fetch = FetchRequest()
        session.prepare(&fetch, for: requests)
        return fetch
    }

    private func asked(_ fetch: FetchRequest) -> [Int32] { fetch.topics.flatMap { $0.partitions.map(\.partition) }.sorted() }

    private func answer(_ id: Int32, _ code: ErrorCode = .none) -> FetchResponse {
        FetchResponse(errorCode: code, sessionId: id)
    }

    // A mutating call cannot stand in the macro.
    private func expect(_ value: Bool, at place: SourceLocation = #_sourceLocation) { #expect(value, sourceLocation: place) }

    @Test func onlyDifferencesAreNamed() {
        var session = FollowerFetchSession()
        let first = prepared(&session, (0..<1000).map { request($0) })
        #expect(first.sessionId == 0 && first.sessionEpoch == 0)
        #expect(asked(first) == Array(0..<1000))
        expect(session.answered(answer(7)))
        let second = prepared(&session, (0..<1000).map { request($0, from: $0 == 5 ? 3 : 0) })
        #expect(second.sessionId == 7 && second.sessionEpoch == 1)
        #expect(asked(second) == [5])
        #expect(second.forgottenTopicsData.isEmpty)
        expect(session.answered(answer(7)))
        let third = prepared(&session, (1..<1000).map { request($0, from: $0 == 5 ? 3 : 0) })
        #expect(third.sessionEpoch == 2)
        #expect(third.topics.isEmpty)
        #expect(third.forgottenTopicsData.map(\.partitions) == [[0]])
        #expect(session.partition(topic, 0) == nil)
        #expect(session.partition(topic, 5)?.topic == "t")
    }

    @Test func aLeaderThatGivesNoSessionIsAskedForAllEachTime() {
        var session = FollowerFetchSession()
        for _ in 0..<2 {
            let fetch = prepared(&session, [request(0), request(1)])
            #expect(fetch.sessionEpoch == 0)
            #expect(asked(fetch) == [0, 1])
            expect(session.answered(answer(0)))
        }
    }

    @Test(arguments: [ErrorCode.fetchSessionIdNotFound, .invalidFetchSessionEpoch, .fetchSessionTopicIdError])
    func aLostSessionIsBegunAnewAtOnce(code: ErrorCode) {
        var session = FollowerFetchSession()
        _ = prepared(&session, [request(0)])
        expect(session.answered(answer(7)))
        _ = prepared(&session, [request(0)])
        expect(!session.answered(answer(0, code)))
        let again = prepared(&session, [request(0)])
        #expect(again.sessionEpoch == 0)
        // What the leader may still have under that id is closed by it.
        #expect(again.sessionId == (code == .fetchSessionIdNotFound ? 0 : 7))
        #expect(asked(again) == [0])
        // Refused as a full fetch too: an error like any other.
        expect(session.answered(answer(0, code)))
    }

    @Test func afterNoAnswerAllIsNamedAnew() {
        var session = FollowerFetchSession()
        _ = prepared(&session, [request(0), request(1)])
        expect(session.answered(answer(7)))
        _ = prepared(&session, [request(0, from: 9), request(1)])
        session.failed()
        let again = prepared(&session, [request(0, from: 9), request(1)])
        #expect(again.sessionId == 7 && again.sessionEpoch == 0)
        #expect(asked(again) == [0, 1])
    }
}
