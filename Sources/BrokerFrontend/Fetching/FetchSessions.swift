//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import RuntimeEnvironment
internal import Synchronization

/// The fetch sessions of a broker.
final class FetchSessions: Sendable {
    private let table: Mutex<FetchSessionTable<FetchSession>>
    private let environment: RuntimeEnvironment
    private let evictions = Atomic<Int64>(0)

    init(slots: Int, environment: RuntimeEnvironment) {
        table = Mutex(FetchSessionTable(slots: slots))
        self.environment = environment
    }

    /// Decides what a fetch is. In the order of arrival.
    func begin(_ request: FetchRequest, version: Int16) -> FetchSessionTable<FetchSession>.Kind {
        let now = environment.clock.now()
        let kind = table.withLock {
            $0.begin(sessionID: request.sessionId, epoch: request.sessionEpoch, usesTopicIDs: version >= 13, at: now)
        }
        if case .full(_, let closed?) = kind { closed.close() }
        return kind
    }

    /// Keeps the session of a full fetch, if there is room; its id is then no longer 0.
    func keep(_ session: FetchSession, usesTopicIDs: Bool, isFollower: Bool) {
        let now = environment.clock.now()
        let kept = table.withLock {
            $0.insert(session, size: session.count, usesTopicIDs: usesTopicIDs, isPrivileged: isFollower, at: now) {
                Int32(truncatingIfNeeded: environment.randomness.next() & UInt64(Int32.max))
            }
        }
        guard let kept else { return }
        session.admit(as: kept.id)
        guard let evicted = kept.evicted else { return }
        evictions.wrappingAdd(1, ordering: .relaxed)
        evicted.close()
    }

    /// - Returns: True if the session has no partitions any more, and is over.
    func resized(_ session: FetchSession) -> Bool { table.withLock { $0.resize(session.id, to: session.count) } }

    var counts: FetchSessionCounts {
        table.withLock { table in
            FetchSessionCounts(
                sessions: Int64(table.entries.count), partitions: table.entries.values.reduce(0) { $0 + Int64($1.size) },
                evictions: evictions.load(ordering: .relaxed))
        }
    }
}

/// What metrics tell of fetch sessions.
package struct FetchSessionCounts: Sendable, Hashable {
    package var sessions: Int64
    /// Of all sessions together.
    package var partitions: Int64
    /// Sessions that lost their slot to others, since the start.
    package var evictions: Int64

    package init(sessions: Int64, partitions: Int64, evictions: Int64) {
        self.sessions = sessions
        self.partitions = partitions
        self.evictions = evictions
    }
}
