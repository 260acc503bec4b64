//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import NIOCore

/// Requests in, answers out, in the versions that current clients speak with us.
extension MicroBenchmark {
    static let codec: [MicroBenchmark] =
        [1, 10].map(produceRequest) + [produceResponse(10), fetchRequest(10), fetchResponse(10), metadataResponse(100)]

    private static let topic = "payments"

    private static func produceRequest(_ partitions: Int) -> MicroBenchmark {
        MicroBenchmark(
            "codec.produce.request.\(partitions)",
            "reads a produce request's header and body: \(partitions) partitions, a record of 1,000 bytes each"
        ) { _, _ in
            let records = LogSlices(Material.batch(records: 1))
            let request = ProduceRequest(
                acks: -1, timeoutMs: 30_000,
                topicData: [
                    .init(name: topic, partitionData: (0..<partitions).map { .init(index: Int32($0), records: records) })
                ])
            let frame = try frame(request, version: 9)
            return { operations in
                for _ in 0..<operations {
                    let request = try RequestFrame(parsing: frame).decode(ProduceRequest.self)
                    guard request.topicData[0].partitionData.count == partitions else {
                        throw BenchmarkFailure("partitions are missing")
                    }
                    blackHole(request)
                }
            }
        }
    }

    private static func produceResponse(_ partitions: Int) -> MicroBenchmark {
        MicroBenchmark("codec.produce.response.\(partitions)", "writes a produce answer with header: \(partitions) partitions") {
            _, _ in
            let response = ProduceResponse(
                responses: [
                    .init(
                        name: topic,
                        partitionResponses: (0..<partitions).map { .init(index: Int32($0), baseOffset: 1 << 40, logStartOffset: 0) }
                    )
                ])
            return { operations in
                for number in 0..<operations {
                    blackHole(try ResponseFrame(response, correlationID: Int32(truncatingIfNeeded: number), version: 9))
                }
            }
        }
    }

    private static func fetchRequest(_ partitions: Int) -> MicroBenchmark {
        MicroBenchmark(
            "codec.fetch.request.\(partitions)", "reads a fetch request's header and body: \(partitions) partitions"
        ) { _, _ in
            let request = FetchRequest(
                maxWaitMs: 500, minBytes: 1, maxBytes: 50 << 20,
                topics: [
                    .init(
                        topicId: Material.topicID,
                        partitions: (0..<partitions).map {
                            .init(partition: Int32($0), fetchOffset: 1 << 40, partitionMaxBytes: 1 << 20)
                        })
                ])
            let frame = try frame(request, version: 16)
            return { operations in
                for _ in 0..<operations {
                    let request = try RequestFrame(parsing: frame).decode(FetchRequest.self)
                    guard request.topics[0].partitions.count == partitions else { throw BenchmarkFailure("partitions are missing") }
                    blackHole(request)
                }
            }
        }
    }

    private static func fetchResponse(_ partitions: Int) -> MicroBenchmark {
        MicroBenchmark(
            "codec.fetch.response.\(partitions)",
            "writes a fetch answer with header: \(partitions) partitions, each with a stretch of a file, which is not read"
        ) { _, _ in
            let records = LogSlices([.file(NoFile(), offset: 1 << 20, length: 1 << 20)])
            let response = FetchResponse(
                responses: [
                    .init(
                        topicId: Material.topicID,
                        partitions: (0..<partitions).map {
                            .init(partitionIndex: Int32($0), highWatermark: 1 << 40, lastStableOffset: 1 << 40, records: records)
                        })
                ])
            return { operations in
                for number in 0..<operations {
                    let frame = try ResponseFrame(response, correlationID: Int32(truncatingIfNeeded: number), version: 16)
                    guard frame.slices.count == 2 * partitions + 1 else {
                        throw BenchmarkFailure("a stretch of the file is missing")
                    }
                    blackHole(frame)
                }
            }
        }
    }

    private static func metadataResponse(_ partitions: Int) -> MicroBenchmark {
        MicroBenchmark(
            "codec.metadata.response.\(partitions)",
            "writes a metadata answer with header: 3 brokers, 10 topics, \(partitions) partitions"
        ) { _, _ in
            let response = MetadataResponse(
                brokers: (0..<3).map { .init(nodeId: $0, host: "broker-\($0).example.com", port: 9092) },
                clusterId: "bmluZWZvbGQtYmVuY2htYXJr", controllerId: 0,
                topics: (0..<10).map { number in
                    .init(
                        name: "\(topic)-\(number)", topicId: TopicID(high: 1, low: UInt64(number)),
                        partitions: (0..<(partitions / 10)).map {
                            .init(
                                partitionIndex: Int32($0), leaderId: 1, leaderEpoch: 7, replicaNodes: [0, 1, 2],
                                isrNodes: [0, 1, 2])
                        })
                })
            return { operations in
                for number in 0..<operations {
                    blackHole(try ResponseFrame(response, correlationID: Int32(truncatingIfNeeded: number), version: 12))
                }
            }
        }
    }

    /// As it comes from the socket, without its length.
    private static func frame(_ request: some KafkaRequest, version: Int16) throws -> ByteBuffer {
        try LogSlices(encodeRequest(request, version: version, correlationID: 7, clientID: "producer-1")).contiguous()
    }

    /// Stands in a slice; nobody reads it.
    private final class NoFile: OpenFile {
        var descriptor: CInt? { nil }
        func readBytes(at offset: Int64, length: Int) throws -> ByteBuffer { throw BenchmarkFailure("nobody reads this file") }
    }
}
