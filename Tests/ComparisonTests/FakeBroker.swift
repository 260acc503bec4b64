//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaNetwork
import KafkaProtocol
import LogModel
import Logging
import NIOCore
import NIOPosix
import RuntimeEnvironment
import Synchronization

/// A broker with partitions in memory, which can be told to misbehave.
final class FakeBroker: RequestDispatcher {
    /// What becomes of a produced batch.
    enum Fate: Sendable {
        case append
        /// Acknowledged, not kept.
        case lose
        case appendTwice
        /// Kept with a byte changed that the CRC covers.
        case damage
        /// Kept, then the batch before it is put behind it.
        case swapWithPrevious
        case refuse(ErrorCode)
        /// No answer, the connection is closed.
        case closeConnection
    }

    private struct State {
        var partitions: [String: [[RecordBatches]]] = [:]
        var produced = 0
        var expectedSequence: [String: Int32] = [:]
        var nextProducerID: Int64 = 1000
        var errors: [ErrorCode] = []
        var producerIDs = 0
    }

    private let state = Mutex(State())
    private let port = Mutex(0)
    private let fate: @Sendable (_ number: Int) -> Fate
    private let delay: Duration

    init(topics: [String: Int], delay: Duration = .zero, fate: @escaping @Sendable (Int) -> Fate = { _ in .append }) {
        self.fate = fate
        self.delay = delay
        state.withLock { $0.partitions = topics.mapValues { Array(repeating: [], count: $0) } }
    }

    static func with<Value: Sendable>(
        topics: [String: Int], delay: Duration = .zero, idleTimeout: Duration = .seconds(600),
        fate: @escaping @Sendable (Int) -> Fate = { _ in .append },
        _ body: (FakeBroker, _ bootstrap: String) async throws -> Value
    ) async throws -> Value {
        let broker = FakeBroker(topics: topics, delay: delay, fate: fate)
        var configuration = KafkaServerConfiguration()
        configuration.idleTimeout = idleTimeout
        let server = KafkaServer(
            configuration: configuration, group: MultiThreadedEventLoopGroup.singleton, dispatcher: broker,
            workers: ThreadWorkerPool(),
            logger: Logger(label: "fake", factory: { _ in SwiftLogNoOpLogHandler() }))
        let port = try await server.start(host: "127.0.0.1", port: 0)
        broker.port.withLock { $0 = port }
        do {
            let value = try await body(broker, "127.0.0.1:\(port)")
            await server.stopAbruptly()
            return value
        } catch {
            await server.stopAbruptly()
            throw error
        }
    }

    func endOffset(_ topic: String, _ partition: Int) -> Int64 {
        state.withLock { Self.end($0.partitions[topic]?[partition] ?? []) }
    }
    var batchSizes: [Int] { state.withLock { $0.partitions.values.joined().joined().map(\.sizeInBytes) } }
    var producerIDs: Int { state.withLock { $0.producerIDs } }

    private static func end(_ log: [RecordBatches]) -> Int64 { log.last?.entries.last?.header.endOffset.rawValue ?? 0 }

    // MARK: Requests

    func dispatch(_ request: RequestFrame, from connection: ConnectionInfo) -> RequestOutcome {
        do {
            switch request.apiKey {
            case ApiVersionsRequest.apiKey: return answer(versions(), request)
            case MetadataRequest.apiKey: return answer(metadata(try request.decode()), request)
            case InitProducerIdRequest.apiKey:
                var response = InitProducerIdResponse()
                response.producerId = state.withLock { state in
                    state.nextProducerID += 1
                    state.producerIDs += 1
                    return state.nextProducerID
                }
                return answer(response, request)
            case ProduceRequest.apiKey: return try produce(try request.decode(), request)
            case FetchRequest.apiKey: return fetch(try request.decode(), request)
            case ListOffsetsRequest.apiKey: return answer(offsets(try request.decode()), request)
            case CreateTopicsRequest.apiKey: return answer(create(try request.decode()), request)
            case DeleteTopicsRequest.apiKey: return answer(DeleteTopicsResponse(), request)
            default: return .closeConnection(reason: "not faked")
            }
        } catch { return .closeConnection(reason: "\(error)") }
    }

    private func answer(_ response: some KafkaResponse, _ request: RequestFrame) -> RequestOutcome {
        do { return .respond(try ResponseFrame(response, to: request)) } catch { return .closeConnection(reason: "\(error)") }
    }

    private func versions() -> ApiVersionsResponse {
        var response = ApiVersionsResponse()
        for (key, range) in [(0, 3...9), (1, 4...12), (2, 1...7), (3, 0...9), (18, 0...3), (19, 2...5), (20, 1...5), (22, 0...4)]
            as [(Int16, ClosedRange<Int16>)]
        {
            response.apiKeys.append(.init(apiKey: key, minVersion: range.lowerBound, maxVersion: range.upperBound))
        }
        return response
    }

    private func metadata(_ request: MetadataRequest) -> MetadataResponse {
        var response = MetadataResponse()
        response.brokers = [.init(nodeId: 1, host: "127.0.0.1", port: Int32(port.withLock { $0 }))]
        response.controllerId = 1
        let partitions = state.withLock { $0.partitions }
        for name in request.topics?.map({ $0.name ?? "" }) ?? Array(partitions.keys) {
            guard let topic = partitions[name] else {
                response.topics.append(.init(errorCode: .unknownTopicOrPartition, name: name))
                continue
            }
            response.topics.append(
                .init(
                    name: name,
                    partitions: topic.indices.map {
                        .init(partitionIndex: Int32($0), leaderId: 1, replicaNodes: [1], isrNodes: [1])
                    }))
        }
        return response
    }

    private func create(_ request: CreateTopicsRequest) -> CreateTopicsResponse {
        var response = CreateTopicsResponse()
        state.withLock { state in
            for topic in request.topics {
                state.partitions[topic.name] = Array(repeating: [], count: Int(topic.numPartitions))
                response.topics.append(.init(name: topic.name, errorMessage: nil))
            }
        }
        return response
    }

    private func offsets(_ request: ListOffsetsRequest) -> ListOffsetsResponse {
        var response = ListOffsetsResponse()
        for topic in request.topics {
            response.topics.append(
                .init(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        let end = endOffset(topic.name, Int($0.partitionIndex))
                        return .init(partitionIndex: $0.partitionIndex, offset: $0.timestamp == -2 ? 0 : end)
                    }))
        }
        return response
    }

    private func produce(_ request: ProduceRequest, _ frame: RequestFrame) throws -> RequestOutcome {
        var response = ProduceResponse()
        for topic in request.topicData {
            var results = ProduceResponse.TopicProduceResponse(name: topic.name)
            for data in topic.partitionData {
                let batches = try RecordBatches(verifying: data.records?.contiguous() ?? ByteBuffer())
                let number = state.withLock { state in
                    state.produced += 1
                    return state.produced
                }
                let fate = fate(number)
                if case .closeConnection = fate { return .closeConnection(reason: "test") }
                let code = state.withLock { Self.append(batches, topic.name, Int(data.index), fate, &$0) }
                results.partitionResponses.append(.init(index: data.index, errorCode: code))
            }
            response.responses.append(results)
        }
        if request.acks == 0 { return .noResponse }
        guard delay > .zero else { return answer(response, frame) }
        let ready = response
        return .respondLater { [delay] in
            try? await Task.sleep(for: delay)
            guard let frame = try? ResponseFrame(ready, to: frame) else { return .closeConnection(reason: "test") }
            return .respond(frame)
        }
    }

    private static func append(
        _ batches: RecordBatches, _ topic: String, _ partition: Int, _ fate: Fate, _ state: inout State
    ) -> ErrorCode {
        if case .refuse(let code) = fate { return code }
        let header = batches.entries[0].header
        if header.hasProducerID {
            let key = "\(topic)-\(partition)-\(header.producerID)"
            let expected = state.expectedSequence[key] ?? 0
            if header.baseSequence != expected {
                return header.baseSequence < expected ? .duplicateSequenceNumber : .outOfOrderSequenceNumber
            }
            state.expectedSequence[key] = RecordBatchHeader.sequence(header.lastSequence, plus: 1)
        }
        func keep(_ batches: RecordBatches) {
            var batches = batches
            batches.assign(baseOffset: Offset(end(state.partitions[topic]![partition])), epoch: LeaderEpoch(0))
            state.partitions[topic]![partition].append(batches)
        }
        switch fate {
        case .append: keep(batches)
        case .lose: break
        case .appendTwice:
            keep(batches)
            keep(batches)
        case .damage:
            var bytes = batches.buffer
            let last = bytes.writerIndex - 2
            bytes.setInteger(bytes.getInteger(at: last, as: UInt8.self)! ^ 0xFF, at: last)
            // Summed anew, so that only a comparison of the bytes can tell.
            bytes.setInteger(
                CRC32C.extend(0, with: bytes, at: bytes.readerIndex + 21, length: bytes.readableBytes - 21),
                at: bytes.readerIndex + 17)
            keep(try! RecordBatches(verifying: bytes))
        case .swapWithPrevious:
            guard let previous = state.partitions[topic]![partition].popLast() else { return .none }
            keep(batches)
            keep(previous)
        case .refuse, .closeConnection: break
        }
        return .none
    }

    private func fetch(_ request: FetchRequest, _ frame: RequestFrame) -> RequestOutcome {
        if let response = fetched(request) { return answer(response, frame) }
        return .respondLater { [self] in
            for _ in 0..<40 {
                try? await Task.sleep(for: .milliseconds(5))
                if let response = fetched(request), let frame = try? ResponseFrame(response, to: frame) { return .respond(frame) }
            }
            guard let empty = try? ResponseFrame(FetchResponse(), to: frame) else { return .closeConnection(reason: "test") }
            return .respond(empty)
        }
    }

    /// Nil if there is nothing to give yet.
    private func fetched(_ request: FetchRequest) -> FetchResponse? {
        var response = FetchResponse()
        var isEmpty = true
        state.withLock { state in
            for topic in request.topics {
                var results = FetchResponse.FetchableTopicResponse(topic: topic.topic)
                for asked in topic.partitions {
                    let log = state.partitions[topic.topic]?[Int(asked.partition)] ?? []
                    var slices: [LogSlice] = []
                    var bytes = 0
                    for batches in log where batches.entries[0].header.endOffset.rawValue > asked.fetchOffset {
                        if bytes > 0, bytes + batches.sizeInBytes > Int(asked.partitionMaxBytes) { break }
                        slices.append(.bytes(batches.buffer))
                        bytes += batches.sizeInBytes
                    }
                    if bytes > 0 { isEmpty = false }
                    results.partitions.append(
                        .init(
                            partitionIndex: asked.partition, highWatermark: Self.end(log), logStartOffset: 0,
                            records: LogSlices(slices)))
                }
                response.responses.append(results)
            }
        }
        return isEmpty ? nil : response
    }
}
