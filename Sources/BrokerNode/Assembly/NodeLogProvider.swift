//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import Glibc
internal import LogEngine
internal import LogModel

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
        var directories = configuration.logDirectories.enumerated().map { number, specification in
            let path = BrokerConfiguration.plainDirectory(specification)
            var status = statvfs()
            let known = !failed.contains(number) && statvfs(path, &status) == 0
            return LogDirectory(
                path: path, logs: failed.contains(number) ? [] : byDirectory[number] ?? [],
                totalBytes: known ? Int64(status.f_blocks) * Int64(status.f_frsize) : nil,
                usableBytes: known ? Int64(status.f_bavail) * Int64(status.f_frsize) : nil, isOffline: failed.contains(number))
        }
        // A shared log lies in objects: its size is told once, by its leader, under the store's name.
        if let shared = registry["shared"], let objectStoreURL {
            directories.append(LogDirectory(path: objectStoreURL, logs: shared.logs))
        }
        return directories
    }
}
