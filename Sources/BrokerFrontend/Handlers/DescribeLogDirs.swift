//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogEngine
internal import LogModel

/// DescribeLogDirs (35): the sizes of this broker's replicas, by the place where they are kept (KIP-113).
enum DescribeLogDirsHandler: Handler {
    static let versions: ClosedRange<Int16> = 1...4

    static func handle(_ request: DescribeLogDirsRequest, _ context: RequestContext) -> Handling<DescribeLogDirsResponse> {
        let wanted = request.topics.map { topics in
            Dictionary(topics.map { ($0.topic, Set($0.partitions)) }, uniquingKeysWith: { $0.union($1) })
        }
        return .later {
            let directories = await context.frontend.logs.logDirectories()
            return DescribeLogDirsResponse(results: directories.map { describe($0, wanted, context) })
        }
    }

    private static func describe(
        _ directory: LogDirectory, _ wanted: [String: Set<Int32>]?, _ context: RequestContext
    ) -> DescribeLogDirsResponse.DescribeLogDirsResult {
        var result = DescribeLogDirsResponse.DescribeLogDirsResult(
            errorCode: directory.isOffline ? .kafkaStorageError : .none, logDir: directory.path)
        if context.version >= 4 {
            result.totalBytes = directory.totalBytes ?? -1
            result.usableBytes = directory.usableBytes ?? -1
        }
        typealias Described = DescribeLogDirsResponse.DescribeLogDirsPartition
        let held = directory.logs.map { log in
            (
                log.partition,
                Described(partitionIndex: log.partition.partition, partitionSize: log.sizeInBytes, offsetLag: log.offsetLag)
            )
        }
        let arriving = directory.arriving.map { log in
            (
                log.partition,
                Described(
                    partitionIndex: log.partition.partition, partitionSize: log.sizeInBytes, offsetLag: log.offsetLag,
                    isFutureKey: true)
            )
        }
        let all = (held + arriving).filter { partition, _ in
            wanted.map { $0[partition.topic]?.contains(partition.partition) ?? false } ?? true
        }
        for (partition, described) in all.sorted(by: { $0.0 < $1.0 }) {
            if result.topics.last?.name != partition.topic {
                result.topics.append(DescribeLogDirsResponse.DescribeLogDirsTopic(name: partition.topic))
            }
            result.topics[result.topics.count - 1].partitions.append(described)
        }
        return result
    }
}
