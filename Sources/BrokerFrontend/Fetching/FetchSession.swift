//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment
internal import Synchronization

/// The partitions that a client fetches, from fetch to fetch (KIP-227): a fetch names those that changed, and is told of those that have
/// something new. A fetch without a session is one that ends with it.
///
/// A partition is *pending* if the next fetch has to read it: it is new, it had records, an error, or progress. One that had nothing *rests*,
/// watched, until its log pokes it; so fetches cost by what happens, not by what they ask for.
final class FetchSession: @unchecked Sendable {
    // Everything but `wait` and `turns` belongs to the fetch that holds the turn.

    struct Key: Hashable {
        /// Zero where the client uses names.
        var topicID: TopicID
        var topic: String
        var partition: Int32
    }

    /// What the client knows of a partition.
    struct Told: Equatable {
        var highWatermark: Int64
        var lastStableOffset: Int64
        var logStartOffset: Int64
    }

    struct Place {
        var topicID: TopicID
        var topic: String
        var asked: FetchRequest.FetchPartition
        var partition: PartitionID?
        /// Of the fetch under way; nil if it has not read the partition.
        var answer: FetchResponse.PartitionData?
        var bytes = 0
        /// Errors and divergence are told at once.
        var isUrgent = false
        /// Nothing lies at or above the offset asked for: it is not for want of room that there are no records.
        var isAtEnd = false
        var told: Told?
        var isPending = true
        /// In ``FetchSession/pending``, where a place that rests stays until the round ends.
        var isListed = true
        /// The last fetch had nothing either.
        var wasQuiet = false
        /// Where a poke is to come from; nil if none is due.
        var watchedAt: WatchList?
        /// The client fetches it no more; the place is free.
        var isForgotten = false

        /// Nothing to tell but, perhaps, offsets.
        var isQuiet: Bool { answer != nil && bytes == 0 && isAtEnd && !isUrgent }
    }

    let wait: FetchWait
    var places: [Place] = []
    /// In the order in which they are read: who had records goes to the end.
    var pending: [Int] = []
    /// Consumers' and followers' bounds differ: what rests under one may have records under the other.
    var isolationLevel: Int8 = 0
    private(set) var id: Int32 = 0
    /// Nil until the first incremental fetch.
    private var index: [Key: Int]?
    private var free: [Int] = []
    private var refreshed: (at: MonotonicInstant, hand: Int)?

    private let turns = Mutex(Turns())

    init(wait: FetchWait) { self.wait = wait }

    var count: Int { places.count - free.count }

    // MARK: What the client asks for

    /// Takes in the partitions of a full fetch.
    func begin(_ request: FetchRequest) {
        isolationLevel = request.isolationLevel
        places.reserveCapacity(request.topics.reduce(0) { $0 + $1.partitions.count })
        for topic in request.topics {
            for partition in topic.partitions {
                places.append(Place(topicID: topic.topicId, topic: topic.topic, asked: partition))
            }
        }
        pending = Array(places.indices)
    }

    /// Takes in what an incremental fetch says is new, different or no more.
    func update(_ request: FetchRequest, isFollower: Bool) {
        var index = index ?? makeIndex()
        self.index = nil
        for topic in request.forgottenTopicsData {
            for partition in topic.partitions {
                guard let number = index.removeValue(forKey: Key(topicID: topic.topicId, topic: topic.topic, partition: partition))
                else { continue }
                forget(number)
            }
        }
        // A forgotten place may be given away below.
        if !request.forgottenTopicsData.isEmpty { unlistResting() }
        for topic in request.topics {
            for partition in topic.partitions {
                let key = Key(topicID: topic.topicId, topic: topic.topic, partition: partition.partition)
                if let number = index[key] {
                    places[number].asked = partition
                    // A follower that asks differently may have dropped the last answer.
                    if isFollower { places[number].told = nil }
                    makePending(number)
                } else {
                    index[key] = add(Place(topicID: topic.topicId, topic: topic.topic, asked: partition))
                }
            }
        }
        self.index = index
        if request.isolationLevel != isolationLevel {
            isolationLevel = request.isolationLevel
            for number in places.indices { makePending(number) }
        }
    }

    private func makeIndex() -> [Key: Int] {
        var index: [Key: Int] = [:]
        index.reserveCapacity(places.count)
        for (number, place) in places.enumerated() where !place.isForgotten {
            let key = Key(topicID: place.topicID, topic: place.topic, partition: place.asked.partition)
            // Asked for twice by the full fetch: the session has it once.
            if let former = index.updateValue(number, forKey: key) { forget(former) }
        }
        return index
    }

    private func add(_ place: Place) -> Int {
        if let number = free.popLast() {
            places[number] = place
            pending.append(number)
            return number
        }
        places.append(place)
        pending.append(places.count - 1)
        return places.count - 1
    }

    private func forget(_ number: Int) {
        places[number].watchedAt?.remove(wait)
        places[number] = Place(topicID: .zero, topic: "", asked: FetchRequest.FetchPartition(), isPending: false, isForgotten: true)
        free.append(number)
    }

    // MARK: Pending and resting

    func makePending(_ number: Int) {
        guard !places[number].isForgotten, !places[number].isPending else { return }
        places[number].isPending = true
        // Poked in the round in which it came to rest: it stands there still.
        guard !places[number].isListed else { return }
        places[number].isListed = true
        pending.append(number)
    }

    private func unlistResting() {
        pending.removeAll { number in
            guard !places[number].isPending else { return false }
            places[number].isListed = false
            return true
        }
    }

    /// Takes note of pokes.
    func noteProgress(_ poked: [Int]) {
        for number in poked where number < places.count {
            // A place given to another partition meanwhile is read for nothing, once.
            places[number].watchedAt = nil
            makePending(number)
        }
    }

    /// Makes partitions that rest pending, so many that within `interval` each has had its turn: a leader hears of a follower's partitions
    /// often enough to know that it is in sync.
    func refresh(within interval: Duration, at now: MonotonicInstant) {
        guard let last = refreshed, count > 0 else {
            refreshed = (now, 0)
            return
        }
        let share = min(1, (now - last.at) / interval)
        let due = Int(Double(places.count) * share)
        guard due > 0 else { return }
        for step in 0..<due { makePending((last.hand + step) % places.count) }
        refreshed = (now, (last.hand + due) % places.count)
    }

    /// Forgets the fetch's answers, once they are given, and puts the partitions that had records behind the others.
    func endRound(read numbers: [Int]) {
        var hadRecords = false
        for number in numbers {
            hadRecords = hadRecords || places[number].bytes > 0
            places[number].wasQuiet = places[number].isQuiet
        }
        unlistResting()
        if hadRecords { pending = pending.filter { places[$0].bytes == 0 } + pending.filter { places[$0].bytes > 0 } }
        for number in numbers {
            places[number].answer = nil
            places[number].bytes = 0
            places[number].isUrgent = false
            places[number].isAtEnd = false
        }
    }

    // MARK: Turns

    private struct Turns {
        var isTaken = false
        var isClosed = false
        var queue: [CheckedContinuation<Void, Never>] = []
    }

    /// Waits until the fetch before, which is called to its end, has been answered.
    func takeTurn() async {
        await withCheckedContinuation { continuation in
            let isMine = turns.withLock { turns in
                guard turns.isTaken else {
                    turns.isTaken = true
                    return true
                }
                turns.queue.append(continuation)
                return false
            }
            if isMine { continuation.resume() } else { wait.end() }
        }
    }

    /// Another fetch of the session has come.
    var isWanted: Bool { turns.withLock { !$0.queue.isEmpty } }

    func giveTurn() {
        let (next, isClosed) = turns.withLock { turns in
            guard turns.queue.isEmpty else { return (Optional(turns.queue.removeFirst()), false) }
            turns.isTaken = false
            return (nil, turns.isClosed)
        }
        if isClosed { unwatch() }
        next?.resume()
    }

    /// The session is over; a fetch under way is still answered.
    func close() {
        let isIdle = turns.withLock { turns in
            turns.isClosed = true
            return !turns.isTaken
        }
        if isIdle { unwatch() }
    }

    /// Gives the session its id, before its first answer.
    func admit(as id: Int32) { self.id = id }

    private func unwatch() {
        for number in places.indices { places[number].watchedAt.take()?.remove(wait) }
    }
}
