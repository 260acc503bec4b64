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
        kept.evicted?.close()
    }

    /// - Returns: True if the session has no partitions any more, and is over.
    func resized(_ session: FetchSession) -> Bool { table.withLock { $0.resize(session.id, to: session.count) } }

    var count: Int { table.withLock { $0.entries.count } }
    var partitionCount: Int { table.withLock { $0.entries.values.reduce(0) { $0 + $1.size } } }
}
