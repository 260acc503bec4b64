//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import LogModel
package import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// Carries out load commands against clusters, and remembers for ``verify(topic:bootstrap:)`` what was acknowledged.
package final class LoadGenerator: Sendable {
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package var description: String
        package init(_ description: String) { self.description = description }
    }

    private struct State {
        var clients: [String: KafkaClient] = [:]
        var probes: [String: Probe] = [:]
    }

    private struct Probe: Sendable {
        var producer: LoopBound<LoadProducer>
        var normalIntervalSeconds: Double
    }

    let group: any EventLoopGroup
    let clock: any Clock
    let ledger: AcknowledgementLedger
    /// Told what is going on, a line at a time.
    let progress: @Sendable (String) -> Void
    /// How long a verification looks again for what seems lost.
    let verificationPatience: Duration
    private let state = Mutex(State())

    /// How long what is due at the end of a run may take to be acknowledged.
    static let drainLimit = Duration.seconds(15)

    package init(
        group: any EventLoopGroup, clock: any Clock, randomness: any RandomSource, verificationPatience: Duration = .seconds(5),
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.verificationPatience = verificationPatience
        self.group = group
        self.clock = clock
        self.ledger = AcknowledgementLedger(run: UInt32(truncatingIfNeeded: randomness.next()))
        self.progress = progress
    }

    /// Ends all probes and closes all connections.
    package func close() async {
        let (clients, probes) = state.withLock { state in
            defer { state = State() }
            return (Array(state.clients.values), Array(state.probes.values))
        }
        for probe in probes { await probe.producer.run { $0.close() } }
        for client in clients { await client.close() }
    }

    /// The client for a bootstrap list, made at its first use.
    func client(_ bootstrap: String) throws -> KafkaClient {
        let addresses = try BrokerAddress.list(parsing: bootstrap)
        return state.withLock { state in
            if let client = state.clients[bootstrap] { return client }
            // Short, so that a broker that hangs does not hold up the news from the others.
            let client = KafkaClient(
                bootstrap: addresses, clientID: "ninefold-load", group: group, clock: clock, requestTimeout: .seconds(5))
            state.clients[bootstrap] = client
            return client
        }
    }

    /// The topic's partitions, all of which have leaders.
    func partitions(of topic: String, _ client: KafkaClient) async throws -> (view: ClusterView, partitions: [Int32]) {
        let view = try await client.waitForTopic(topic)
        return (view, view.topics[topic]?.partitions.keys.sorted() ?? [])
    }

    func producer(
        _ plan: ProducerPlan, _ client: KafkaClient, watchesGaps: Bool = false
    ) async throws -> LoopBound<LoadProducer> {
        guard plan.recordBytes >= RecordIdentity.size else {
            throw Failure("records of \(plan.recordBytes) bytes: at least \(RecordIdentity.size) are needed to tell them apart")
        }
        let (eventLoop, clock, ledger) = (group.next(), self.clock, self.ledger)
        return await LoopBound(on: eventLoop) {
            LoadProducer(plan: plan, eventLoop: eventLoop, clock: clock, client: client, ledger: ledger, watchesGaps: watchesGaps)
        }
    }

    /// Gets a producer all it needs to send at once: connections, and an id if it is idempotent.
    func prepare(_ producer: LoopBound<LoadProducer>, _ view: ClusterView, _ client: KafkaClient) async throws -> ProducerIdentifier
    {
        await producer.wait { producer, done in producer.connect(view, done) }
        return await producer.run { $0.plan.isIdempotent } ? try await client.initializeProducerID() : .none
    }

    func begin(
        _ producer: LoopBound<LoadProducer>, _ identifier: ProducerIdentifier, startNanoseconds: Int64,
        window: CountedWindow = CountedWindow()
    ) async {
        await producer.run {
            $0.window = window
            $0.begin(identifier, startNanoseconds: startNanoseconds)
        }
    }

    // MARK: Fill

    package func fill(_ load: FillLoad, bootstrap: String) async throws -> FillOutcome {
        let client = try client(bootstrap)
        let (view, partitions) = try await partitions(of: load.topic, client)
        guard partitions.contains(load.partition) else { throw Failure("topic \(load.topic) has no partition \(load.partition)") }
        var plan = ProducerPlan(
            topic: load.topic, partitions: [load.partition], recordBytes: load.recordBytes, compressibleTo: load.compressibleTo,
            pace: .unbounded(bytes: load.bytes), acks: load.acks, seed: load.seed)
        // As large as brokers take by default, and small enough that the last one does not overshoot by much.
        plan.batchBytesMax = Int(min(1_000_000, max(load.bytes / 16, 16_384)))
        let producer = try await producer(plan, client)
        let identifier = try await prepare(producer, view, client)
        let start = clock.now()
        await begin(producer, identifier, startNanoseconds: start.nanoseconds)
        let reporter = report("\(load.topic)-\(load.partition)") {
            let bytes = await producer.run { $0.bytesAcknowledged }
            return "\(bytes >> 20) of \(load.bytes >> 20) MiB acknowledged"
        }
        await producer.wait { producer, done in producer.whenIssuedAndDrained(done) }
        reporter.cancel()
        let seconds = (clock.now() - start).inSeconds
        let (records, bytes, errors, failure) = await producer.run { producer in
            defer { producer.close() }
            return (producer.recordsAcknowledged, producer.bytesAcknowledged, producer.measure.errors, producer.firstFailure)
        }
        if errors > 0 {
            throw Failure("\(errors) records of \(load.topic)-\(load.partition) were refused: \(failure ?? "no reason given")")
        }
        return FillOutcome(records: records, bytes: bytes, seconds: seconds)
    }

    // MARK: Probes

    /// Returns once the probe has its first acknowledgement.
    package func startProbe(_ load: ProbeLoad, bootstrap: String) async throws {
        guard load.recordsPerSecond > 0 else { throw Failure("probe \(load.name): a rate above 0 is needed") }
        let client = try client(bootstrap)
        let (view, all) = try await partitions(of: load.topic, client)
        let partitions = load.partition.map { [$0] } ?? all
        guard Set(partitions).isSubset(of: all) else { throw Failure("topic \(load.topic) has no partition \(partitions)") }
        var plan = ProducerPlan(
            topic: load.topic, partitions: partitions, recordBytes: load.recordBytes, compressibleTo: load.compressibleTo,
            pace: .rate(load.recordsPerSecond), acks: load.acks, seed: load.seed)
        plan.linger = .zero
        let producer = try await producer(plan, client, watchesGaps: true)
        let identifier = try await prepare(producer, view, client)
        let probe = Probe(producer: producer, normalIntervalSeconds: Double(partitions.count) / load.recordsPerSecond)
        let isNew = state.withLock { state in
            guard state.probes[load.name] == nil else { return false }
            state.probes[load.name] = probe
            return true
        }
        guard isNew else { throw Failure("there is a probe named \(load.name) already") }
        await begin(producer, identifier, startNanoseconds: clock.now().nanoseconds)
        await producer.wait { producer, done in producer.whenFirstAcknowledged(done) }
    }

    package func stopProbe(name: String) async throws -> ProbeOutcome {
        guard let probe = state.withLock({ $0.probes.removeValue(forKey: name) }) else {
            throw Failure("there is no probe named \(name)")
        }
        let clock = self.clock
        await probe.producer.stop(within: Self.drainLimit)
        return await probe.producer.run { producer in
            let open = producer.queues.filter { !$0.isEmpty }.map(\.partition)
            producer.gaps?.end(at: clock.now().nanoseconds, of: open)
            return ProbeOutcome(
                acknowledged: producer.recordsAcknowledged, errors: producer.measure.errors,
                normalIntervalSeconds: probe.normalIntervalSeconds, gaps: producer.gaps?.longest ?? [],
                lastFailure: producer.lastFailure)
        }
    }

    // MARK: Progress

    /// Tells every two seconds how far something is, until cancelled.
    func report(_ what: String, _ line: @escaping @Sendable () async -> String) -> Task<Void, Never> {
        let (clock, progress) = (self.clock, self.progress)
        return Task {
            while (try? await clock.sleep(for: .seconds(2))) != nil { progress("\(what): \(await line())") }
        }
    }
}

extension KafkaClient {
    /// Waits until the topic is there and each of its partitions has a leader.
    func waitForTopic(_ topic: String) async throws(KafkaClientError) -> ClusterView {
        var view = try await waitForLeaders(of: [topic: 1])
        view = try await waitForLeaders(of: [topic: view.topics[topic]?.partitions.count ?? 1])
        return view
    }
}
