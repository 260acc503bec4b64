//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import Glibc
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import ReplicatedLog

/// The frontend's view of the engines: a log by its partition, and where logs lie.
struct NodeLogProvider: LogProvider {
    let registry: EngineRegistry
    let configuration: BrokerConfiguration
    let objectStoreURL: String?

    func log(for partition: PartitionID) -> (any PartitionLog)? { registry.log(for: partition) }

    func logDirectories() async -> [LogDirectory] {
        let logs = registry.engines.filter { $0.name != "shared" }.flatMap(\.logs)
        // What lies in no directory, as a log in memory, is told under the first.
        let byDirectory = Dictionary(grouping: logs) { registry.replicated.volumeNumber(of: $0.partition) ?? 0 }
        let failed = registry.replicated.failedVolumes
        let moves = registry.replicated.moves
        var directories = configuration.logDirectories.enumerated().map { number, specification in
            let path = BrokerConfiguration.plainDirectory(specification)
            var status = statvfs()
            let known = !failed.contains(number) && statvfs(path, &status) == 0
            var directory = LogDirectory(
                path: path, logs: failed.contains(number) ? [] : byDirectory[number] ?? [],
                totalBytes: known ? Int64(status.f_blocks) * Int64(status.f_frsize) : nil,
                usableBytes: known ? Int64(status.f_bavail) * Int64(status.f_frsize) : nil, isOffline: failed.contains(number))
            directory.arriving = moves.filter { $0.volumeNumber == number }.map {
                ArrivingLog(partition: $0.partition, sizeInBytes: $0.sizeInBytes, offsetLag: $0.offsetLag)
            }
            return directory
        }
        // A shared log lies in objects: its size is told once, by its leader, under the store's name.
        if let shared = registry["shared"], let objectStoreURL {
            directories.append(LogDirectory(path: objectStoreURL, logs: shared.logs))
        }
        return directories
    }

    func moveReplica(of partition: PartitionID, to path: String) async -> ErrorCode {
        let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        guard
            let number = configuration.logDirectories.firstIndex(where: { BrokerConfiguration.plainDirectory($0) == path })
        else { return .logDirNotFound }
        guard !registry.replicated.failedVolumes.contains(number) else { return .kafkaStorageError }
        do throws(LogError) {
            return try await registry.replicated.move(partition, to: number) ? .none : .replicaNotAvailable
        } catch { return error.code == .notLeader ? .replicaNotAvailable : ErrorCode(error) }
    }
}
