//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
internal import KafkaProtocol
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// Reads partitions by plain fetches (no group), one fetch under way per leader, and hands each batch on.
///
/// Confined to one event loop, as ``LoadProducer`` is.
final class LoadConsumer {
    struct Batch {
        var partition: Int32
        var header: RecordBatchHeader
        /// The fetched records of the partition; the batch begins at `index`.
        var buffer: ByteBuffer
        var index: Int
        /// On the monotonic clock.
        var arrivedNanoseconds: Int64
        /// The CRC is not that of the bytes.
        var isDamaged: Bool
    }

    private final class Link {
        var connection: KafkaConnection?
        var version: Int16 = 0
        var isFetching = false
    }

    private struct Position {
        var next: Int64
        /// Exclusive; reading ends here.
        var end: Int64
    }

    let topic: String
    let eventLoop: any EventLoop
    private let clock: any Clock
    private let client: KafkaClient
    private let sink: (Batch) -> Void
    private var positions: [Int32: Position]
    private var leaders: [Int32: BrokerID] = [:]
    private var addresses: [BrokerID: BrokerAddress] = [:]
    private var links: [BrokerID: Link] = [:]
    private var isRefreshing = false
    private(set) var isClosed = false
    private var onEnd: [() -> Void] = []
    private(set) var firstFailure: String?
    /// No fetch is sent while true; one under way is still taken in.
    var isPaused = false { didSet { if oldValue, !isPaused { pump() } } }

    private static let waitMilliseconds: Int32 = 200
    private static let partitionBytesMax: Int32 = 4 << 20
    private static let fetchBytesMax: Int32 = 16 << 20
    private static let retryBackoff = TimeAmount.milliseconds(20)
    private static let requestTimeout = Duration.seconds(10)

    /// - Parameters:
    ///   - from: Where to begin, by partition.
    ///   - until: Where to end; partitions without are read on and on.
    init(
        topic: String, from: [Int32: Int64], until: [Int32: Int64] = [:], eventLoop: any EventLoop, clock: any Clock,
        client: KafkaClient,
        sink: @escaping (Batch) -> Void
    ) {
        self.topic = topic
        self.eventLoop = eventLoop
        self.clock = clock
        self.client = client
        self.sink = sink
        positions = [:]
        for (partition, start) in from { positions[partition] = Position(next: start, end: until[partition] ?? .max) }
    }

    // MARK: Life

    func begin(_ view: ClusterView) {
        adopt(view)
        pump()
    }

    /// Calls `body` once every partition has been read to its end.
    func whenRead(_ body: @escaping () -> Void) {
        onEnd.append(body)
        reportIfRead()
    }

    /// Reads on from other offsets, once nothing is under way: in ``whenRead(_:)``'s call.
    func seek(to offsets: [Int32: Int64]) { for (partition, offset) in offsets { positions[partition]?.next = offset } }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        for link in links.values {
            guard let connection = link.connection else { continue }
            Task { await connection.close() }
        }
        links = [:]
        reportIfRead()
    }

    /// Records from here to the given ends, by what has been read.
    func lag(to ends: [Int32: Int64]) -> Int64 {
        positions.reduce(0) { $0 + max(0, (ends[$1.key] ?? 0) - $1.value.next) }
    }

    private func reportIfRead() {
        guard isClosed || positions.allSatisfy({ $0.value.next >= $0.value.end }) else { return }
        let waiting = onEnd
        onEnd = []
        for body in waiting { body() }
    }

    // MARK: Fetching

    private func pump() {
        guard !isClosed, !isPaused else { return }
        var byBroker: [BrokerID: [Int32]] = [:]
        for (partition, position) in positions where position.next < position.end {
            if let leader = leaders[partition] { byBroker[leader, default: []].append(partition) } else { refreshMetadata() }
        }
        for (broker, partitions) in byBroker {
            guard let link = openLink(to: broker), let connection = link.connection, !link.isFetching else { continue }
            fetch(partitions.sorted(), over: link, connection, of: broker)
        }
    }

    private func fetch(_ partitions: [Int32], over link: Link, _ connection: KafkaConnection, of broker: BrokerID) {
        var asked = FetchRequest.FetchTopic(topic: topic)
        for partition in partitions {
            asked.partitions.append(
                .init(partition: partition, fetchOffset: positions[partition]!.next, partitionMaxBytes: Self.partitionBytesMax))
        }
        let request = FetchRequest(
            maxWaitMs: Self.waitMilliseconds, minBytes: 1, maxBytes: Self.fetchBytesMax, topics: [asked])
        let correlationID = KafkaConnection.nextCorrelationID()
        let version = link.version
        let frame: [LogSlice]
        do throws(CodecError) {
            frame = try encodeRequest(request, version: version, correlationID: correlationID, clientID: "ninefold-load")
        } catch { return note("Fetch cannot be written in version \(version): \(error)") }
        link.isFetching = true
        connection.sendOnLoop(frame, correlationID: correlationID, timeout: Self.requestTimeout) { [self] result in
            link.isFetching = false
            guard !isClosed else { return }
            switch result {
            case .success(let answer): received(answer, version: version)
            case .failure(let error):
                note("\(error)")
                lost(link, to: broker)
            }
            reportIfRead()
            pump()
        }
    }

    private func received(_ frame: ByteBuffer, version: Int16) {
        let answer: FetchResponse
        do throws(CodecError) {
            answer = try decodeResponse(to: FetchRequest.self, version: version, frame: frame).response
        } catch { return note("an answer to Fetch cannot be read: \(error)") }
        let now = clock.now().nanoseconds
        for partition in answer.responses.first?.partitions ?? [] {
            switch partition.errorCode {
            case .none:
                if let records = try? partition.records?.contiguous() { take(records, of: partition.partitionIndex, at: now) }
            case .offsetOutOfRange:
                // Retention has passed us.
                note("\(topic)-\(partition.partitionIndex): offset out of range")
                if let position = positions[partition.partitionIndex] {
                    positions[partition.partitionIndex]!.next = max(position.next, partition.logStartOffset)
                }
                leaders[partition.partitionIndex] = nil
            case let code:
                note("\(topic)-\(partition.partitionIndex): \(code)")
                leaders[partition.partitionIndex] = nil
            }
        }
    }

    /// Hands on the whole batches of `records`; one cut off at the end is fetched again.
    private func take(_ records: ByteBuffer, of partition: Int32, at now: Int64) {
        var index = records.readerIndex
        while let header = try? RecordBatchHeader(in: records, at: index), index + header.sizeInBytes <= records.writerIndex {
            let end = index + header.sizeInBytes
            defer { index = end }
            guard let position = positions[partition], header.endOffset.rawValue > position.next else { continue }
            let covered = header.sizeInBytes - Self.crcStart
            let isDamaged = CRC32C.extend(0, with: records, at: index + Self.crcStart, length: covered) != header.crc
            sink(
                Batch(
                    partition: partition, header: header, buffer: records, index: index, arrivedNanoseconds: now,
                    isDamaged: isDamaged))
            positions[partition]!.next = header.endOffset.rawValue
        }
    }

    private static let crcStart = 21

    private func note(_ failure: String) { if firstFailure == nil { firstFailure = failure } }

    // MARK: Cluster

    private func adopt(_ view: ClusterView) {
        addresses = view.brokers
        for partition in positions.keys { leaders[partition] = view.leader(of: topic, partition: partition) }
    }

    private func openLink(to broker: BrokerID) -> Link? {
        if let link = links[broker] { return link.connection == nil ? nil : link }
        guard let address = addresses[broker] else {
            refreshMetadata()
            return nil
        }
        let link = Link()
        links[broker] = link
        let bound = NIOLoopBound((self, link), eventLoop: eventLoop)
        let eventLoop = self.eventLoop
        Task {
            let result: Result<KafkaConnection, KafkaClientError>
            do throws(KafkaClientError) {
                result = .success(
                    try await KafkaConnection.connect(
                        to: address, group: eventLoop, clientID: "ninefold-load", timeout: .seconds(2)))
            } catch { result = .failure(error) }
            eventLoop.execute {
                let (consumer, link) = bound.value
                consumer.opened(link, to: broker, result)
            }
        }
        return nil
    }

    private func opened(_ link: Link, to broker: BrokerID, _ result: Result<KafkaConnection, KafkaClientError>) {
        do {
            let connection = try result.get()
            guard !isClosed else { return Task { await connection.close() }.forget() }
            // From version 13 on topics are named by their ids.
            link.version = try connection.version(of: FetchRequest.self, versionMax: 12)
            link.connection = connection
            pump()
        } catch {
            note("\(error)")
            lost(link, to: broker)
        }
    }

    private func lost(_ link: Link, to broker: BrokerID) {
        if links[broker] === link { links[broker] = nil }
        for (partition, leader) in leaders where leader == broker { leaders[partition] = nil }
        refreshMetadata()
    }

    private func refreshMetadata() {
        guard !isRefreshing, !isClosed else { return }
        isRefreshing = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let (eventLoop, client, topic, backoff) = (self.eventLoop, self.client, self.topic, Self.retryBackoff)
        Task {
            let view = try? await client.refresh(topics: [topic])
            eventLoop.execute {
                if let view { bound.value.adopt(view) }
                eventLoop.scheduleTask(in: backoff) {
                    bound.value.isRefreshing = false
                    bound.value.pump()
                }
            }
        }
    }
}
