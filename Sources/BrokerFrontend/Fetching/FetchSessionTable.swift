//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import RuntimeEnvironment

/// Which fetch sessions there are, and whose slot a new one may take (KIP-227). Knows no clock and no partitions.
package struct FetchSessionTable<Session> {
    package struct Entry {
        package var session: Session
        /// That the next fetch must name.
        package var epoch: Int32
        package var usesTopicIDs: Bool
        /// A follower's.
        package var isPrivileged: Bool
        /// Partitions in it.
        package var size: Int
        package let createdAt: MonotonicInstant
        package var lastUsedAt: MonotonicInstant
    }

    /// What a fetch is, by the session id and epoch it names.
    package enum Kind {
        /// Session or not, all partitions are in the request; a session may be made of it.
        case full(mayMakeSession: Bool, closes: Session?)
        case incremental(Session)
        case refused(ErrorCode)
    }

    /// Epoch of a full fetch that asks for a session.
    static var initialEpoch: Int32 { 0 }
    /// Epoch of a full fetch that asks for none.
    static var finalEpoch: Int32 { -1 }

    /// `max.incremental.fetch.session.cache.slots`
    package let slots: Int
    /// How long a session is safe from others that are worth more (Kafka's fixed two minutes).
    package let safeFor: Duration
    package private(set) var entries: [Int32: Entry] = [:]

    package init(slots: Int, safeFor: Duration = .seconds(120)) {
        self.slots = slots
        self.safeFor = safeFor
    }

    /// A fetch has come. One that goes on with a session takes the session's epoch a step further.
    package mutating func begin(sessionID: Int32, epoch: Int32, usesTopicIDs: Bool, at now: MonotonicInstant) -> Kind {
        if epoch == Self.initialEpoch || epoch == Self.finalEpoch {
            let closed = sessionID == 0 ? nil : entries.removeValue(forKey: sessionID)?.session
            return .full(mayMakeSession: epoch == Self.initialEpoch, closes: closed)
        }
        guard var entry = entries[sessionID] else { return .refused(.fetchSessionIdNotFound) }
        guard entry.epoch == epoch else { return .refused(.invalidFetchSessionEpoch) }
        guard entry.usesTopicIDs == usesTopicIDs else { return .refused(.fetchSessionTopicIdError) }
        entry.epoch = Self.epoch(after: epoch)
        entry.lastUsedAt = now
        entries[sessionID] = entry
        return .incremental(entry.session)
    }

    /// Gives a new session a slot, if there is one or it is worth more than another's.
    ///
    /// - Parameter id: One by chance; asked until none has it.
    /// - Returns: Its id and who has lost the slot; nil if it gets none.
    package mutating func insert(
        _ session: Session, size: Int, usesTopicIDs: Bool, isPrivileged: Bool, at now: MonotonicInstant, id: () -> Int32
    ) -> (id: Int32, evicted: Session?)? {
        guard slots > 0, size > 0 else { return nil }
        var evicted: Session?
        if entries.count >= slots {
            guard let victim = victim(of: size, isPrivileged: isPrivileged, at: now) else { return nil }
            evicted = entries.removeValue(forKey: victim)?.session
        }
        var chosen = id()
        while chosen <= 0 || entries[chosen] != nil { chosen = id() }
        entries[chosen] = Entry(
            session: session, epoch: Self.epoch(after: Self.initialEpoch), usesTopicIDs: usesTopicIDs, isPrivileged: isPrivileged,
            size: size, createdAt: now, lastUsedAt: now)
        return (chosen, evicted)
    }

    /// The session's partitions have become more or fewer; with none it is over.
    ///
    /// - Returns: True if it is over.
    package mutating func resize(_ id: Int32, to size: Int) -> Bool {
        guard size > 0 else {
            entries[id] = nil
            return true
        }
        entries[id]?.size = size
        return false
    }

    /// A session long unused goes first. Otherwise the least of those that may be driven out: consumers' before followers', smaller before
    /// larger; followers drive out any consumer's, others only what has had its time, and none what is worth more than the newcomer.
    private func victim(of size: Int, isPrivileged: Bool, at now: MonotonicInstant) -> Int32? {
        if let oldest = entries.min(by: { $0.value.lastUsedAt < $1.value.lastUsedAt }), now - oldest.value.lastUsedAt > safeFor {
            return oldest.key
        }
        let least =
            entries
            .filter { now - $0.value.createdAt > safeFor || (isPrivileged && !$0.value.isPrivileged) }
            .min { worth($0) < worth($1) }
        guard let least, worth(least) < (isPrivileged ? 1 : 0, size, 0) else { return nil }
        return least.key
    }

    private func worth(_ element: (key: Int32, value: Entry)) -> (Int, Int, Int32) {
        (element.value.isPrivileged ? 1 : 0, element.value.size, element.key)
    }

    /// 1 comes after the largest: 0 and -1 mean something else.
    package static func epoch(after epoch: Int32) -> Int32 { epoch == .max ? 1 : epoch + 1 }
}
