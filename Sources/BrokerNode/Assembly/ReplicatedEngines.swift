//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Logging
internal import ReplicatedLog
internal import RuntimeEnvironment
internal import Synchronization

/// The replicated logs of a broker, its own (`isr`) and the tails of `tiered`: they share the broker's replication throttles (KIP-73), and
/// tell together how copies get on.
final class ReplicatedEngines: Sendable {
    let throttles = ReplicationThrottles()
    private let engines = Mutex<[ReplicatedLogEngine]>([])

    static let leaderRate = "leader.replication.throttled.rate"
    static let followerRate = "follower.replication.throttled.rate"

    func add(_ engine: ReplicatedLogEngine) {
        engines.withLock { $0.append(engine) }
        engine.setVolumeFailureListener { [weak self] number, failure in self?.failed(number, failure) }
    }

    // MARK: Log directories

    private struct Exhaustion {
        var reason: String?
        var listener: (@Sendable (String) -> Void)?
    }
    private let exhaustion = Mutex(Exhaustion())

    /// A directory's disk is one for all engines.
    func failed(_ number: Int, _ failure: DiskError) {
        let engines = engines.withLock { $0 }
        for engine in engines { engine.failVolume(number, failure) }
        guard let count = engines.first?.volumeCount, failedVolumes.count == count else { return }
        let listener = exhaustion.withLock { exhaustion -> (@Sendable (String) -> Void)? in
            guard exhaustion.reason == nil else { return nil }
            exhaustion.reason = "\(failure)"
            return exhaustion.listener
        }
        listener?("\(failure)")
    }

    /// Told once, when no log directory is left, of the last one's failure.
    func whenExhausted(_ listener: @escaping @Sendable (String) -> Void) {
        let reason = exhaustion.withLock { exhaustion in
            exhaustion.listener = listener
            return exhaustion.reason
        }
        if let reason { listener(reason) }
    }

    /// See ``ReplicatedLogEngine/setAside(_:)``.
    func setAside(_ partition: PartitionID) async throws(LogError) -> String? {
        for engine in engines.withLock({ $0 }) { if let path = try await engine.setAside(partition) { return path } }
        return nil
    }

    func volumeNumber(of partition: PartitionID) -> Int? {
        for engine in engines.withLock({ $0 }) { if let number = engine.volumeNumber(of: partition) { return number } }
        return nil
    }

    /// By their place in `log.dirs`.
    var failedVolumes: Set<Int> { engines.withLock { $0 }.reduce(into: []) { $0.formUnion($1.failedVolumes) } }

    /// `directory.id` of each log directory in use; empty where no engine keeps replicated logs.
    var directoryIDs: Set<String> { engines.withLock { $0 }.reduce(into: []) { $0.formUnion($1.directoryIDs) } }

    /// Logs that ended, when they were opened, before what had been synced of them.
    var openedShort: Set<PartitionID> { engines.withLock { $0 }.reduce(into: []) { $0.formUnion($1.openedShort) } }

    /// Replicas that are being moved between directories.
    var moves: [ReplicaMove] { engines.withLock { $0 }.flatMap(\.moves) }

    /// - Returns: False if the broker holds no log of the partition; if it comes to hold one, it is to lie there.
    func move(_ partition: PartitionID, to number: Int) async throws(LogError) -> Bool {
        let engines = engines.withLock { $0 }
        guard let engine = engines.first(where: { $0.volumeNumber(of: partition) != nil }) else {
            for engine in engines { engine.prefer(number, for: partition) }
            return false
        }
        try await engine.move(partition, toVolume: number)
        return true
    }

    /// Whether the broker has a log of the partition, on a directory that works.
    func holds(_ partition: PartitionID) -> Bool { volumeNumber(of: partition).map { !failedVolumes.contains($0) } ?? false }

    /// Tells the cluster of replicas whose log directory fails.
    func reportFailures(to store: PartitionStateStore, broker: BrokerID, clock: any Clock, logger: Logger) {
        for engine in engines.withLock({ $0 }) {
            engine.setOfflineListener { partition in
                Task {
                    while true {
                        do {
                            _ = try await store.setOffline(partition, replica: broker, true)
                            return
                        } catch {
                            logger.warning(
                                "The cluster could not be told of an offline replica; trying again",
                                metadata: ["partition": "\(partition)", "error": "\(error)"])
                            guard (try? await clock.sleep(for: .milliseconds(500))) != nil else { return }
                        }
                    }
                }
            }
        }
    }

    // MARK: Throttles

    /// Takes the throttles' rates from the brokers' settings.
    func follow(_ image: MetadataImage, broker: BrokerID, file: [String: String]) {
        throttles.set(
            leader: Self.rate(Self.leaderRate, of: broker, image, file),
            follower: Self.rate(Self.followerRate, of: broker, image, file))
    }

    /// Bytes per second; nil for no bound, which Kafka writes as the largest number.
    static func rate(_ name: String, of broker: BrokerID, _ image: MetadataImage, _ file: [String: String]) -> Int64? {
        guard let rate = (image.brokerConfig(name, of: broker) ?? file[name]).flatMap({ Int64($0) }), rate != .max else {
            return nil
        }
        return rate
    }

    /// What the metrics listener tells of each replica that is being added to a partition led here.
    func reports(_ image: MetadataImage) -> [CopyReport] {
        let copies = engines.withLock { $0 }.flatMap(\.copies)
        // A throttle is for all that passes it: what one copy needs, others may use up.
        let atLeader = copies.filter(\.isThrottledAtLeader)
        return copies.sorted { ($0.partition, $0.replica) < ($1.partition, $1.replica) }.map { copy in
            let atFollower = copies.filter { $0.isThrottledAtFollower && $0.replica == copy.replica }
            let bounds: [(Double?, [ReplicaCopy])] = [
                (copy.isThrottledAtLeader ? throttles.leaderBytesPerSecond.map(Double.init) : nil, atLeader),
                (
                    copy.isThrottledAtFollower ? Self.rate(Self.followerRate, of: copy.replica, image, [:]).map(Double.init) : nil,
                    atFollower
                ),
            ]
            return CopyReport(copy, bounds: bounds)
        }
    }
}

/// How a replica's copy gets on, and when it will be done.
package struct CopyReport: Encodable, Sendable {
    package var topic: String
    package var partition: Int32
    package var replica: Int32
    package var copiedBytes: Int64
    package var remainingBytes: Int64
    /// Nil until measured.
    package var copiedBytesPerSecond: Double?
    package var ingestedBytesPerSecond: Double?
    /// The lower of the leader's and the follower's; nil for none.
    package var throttleBytesPerSecond: Double?
    package var forecast: String
    /// Nil where it never finishes, or nobody knows.
    package var finishesInSeconds: Double?

    /// - Parameter bounds: Throttles that the copy passes, each with all copies that share it.
    init(_ copy: ReplicaCopy, bounds: [(bytesPerSecond: Double?, sharers: [ReplicaCopy])]) {
        topic = copy.partition.topic
        partition = copy.partition.partition
        replica = copy.replica.rawValue
        copiedBytes = copy.copiedBytes
        remainingBytes = copy.remainingBytes
        copiedBytesPerSecond = copy.copiedBytesPerSecond
        ingestedBytesPerSecond = copy.ingestedBytesPerSecond
        throttleBytesPerSecond = bounds.compactMap(\.bytesPerSecond).min()
        var worst = CopyForecast.forecast(
            remainingBytes: copy.remainingBytes, copied: copy.copiedBytesPerSecond, ingested: copy.ingestedBytesPerSecond,
            throttle: nil)
        for bound in bounds {
            guard let throttle = bound.bytesPerSecond, worst != .done else { continue }
            let forecast = Self.forecast(throttle, bound.sharers)
            if case .never = worst { continue }
            if Self.seconds(forecast) ?? .infinity >= Self.seconds(worst) ?? .infinity { worst = forecast }
        }
        forecast = worst.description
        finishesInSeconds = Self.seconds(worst)
    }

    /// Of all that share a throttle, together.
    private static func forecast(_ throttle: Double, _ sharers: [ReplicaCopy]) -> CopyForecast {
        func sum(_ rate: (ReplicaCopy) -> Double?) -> Double? {
            let rates = sharers.compactMap(rate)
            return rates.count == sharers.count ? rates.reduce(0, +) : nil
        }
        return .forecast(
            remainingBytes: sharers.reduce(0) { $0 + $1.remainingBytes }, copied: sum(\.copiedBytesPerSecond),
            ingested: sum(\.ingestedBytesPerSecond), throttle: throttle)
    }

    private static func seconds(_ forecast: CopyForecast) -> Double? {
        switch forecast {
        case .done: 0
        case .finishes(let duration): duration / .seconds(1)
        case .never, .notAtThisRate, .notMeasured: nil
        }
    }
}
