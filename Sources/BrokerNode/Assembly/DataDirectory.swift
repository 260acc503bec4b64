//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel
internal import Logging
internal import RuntimeEnvironment

/// The mark that a data directory carries: which broker's it is, in which layout and mode. Checked before anything in it is touched.
struct DataDirectory: Codable, Sendable, Hashable {
    static let layout = 1
    static let fileName = "ninefold.json"

    var layout: Int
    var nodeID: Int32
    var storageMode: String
    /// Unset until the broker has joined a cluster for the first time.
    var clusterID: String?

    private static func path(in directory: String) -> String { "\(directory)/\(fileName)" }

    private enum Problem: Error {
        /// Whoever wrote the settings means another directory.
        case refused(ConfigurationError)
        /// Its disk cannot be read or written now.
        case unusable(ConfigurationError)
    }

    /// Marks new directories, and refuses one that is another broker's, another mode's, or a newer program's.
    ///
    /// - Returns: The places of those that cannot be used. What they hold nobody knows: they are not empty.
    /// - Throws: Also if none can be used.
    static func claim(_ configuration: BrokerConfiguration, _ logger: Logger) throws(ConfigurationError) -> Set<Int> {
        try sort(configuration, without: [], logger) { (directory) throws(Problem) in try claim(directory, configuration) }
    }

    private static func claim(_ directory: String, _ configuration: BrokerConfiguration) throws(Problem) {
        if let mark = try read(in: directory) {
            guard mark.nodeID == configuration.nodeID.rawValue else {
                throw .refused(
                    ConfigurationError(
                        "\(directory): the data of broker \(mark.nodeID), not of broker \(configuration.nodeID); correct node.id or log.dirs"
                    ))
            }
            guard mark.storageMode == configuration.storageMode else {
                throw .refused(
                    ConfigurationError(
                        "\(directory): written with storage.mode=\(mark.storageMode), now \(configuration.storageMode); use another directory or the former mode (a topic may choose its own mode at creation)"
                    ))
            }
            return
        }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try DataDirectory(layout: layout, nodeID: configuration.nodeID.rawValue, storageMode: configuration.storageMode)
                .write(in: directory)
        } catch {
            throw .unusable(unwritable(directory, error))
        }
    }

    /// Notes the cluster the directories belong to, or refuses one that belongs to another: logs that a cluster's metadata does not
    /// name are deleted, so the metadata must be the right ones.
    ///
    /// - Returns: The places of those that cannot be used, `unusable` among them.
    static func bind(
        _ configuration: BrokerConfiguration, to clusterID: String, without unusable: Set<Int>, _ logger: Logger
    ) throws(ConfigurationError) -> Set<Int> {
        try sort(configuration, without: unusable, logger) { (directory) throws(Problem) in
            try bind(directory, configuration, to: clusterID)
        }
    }

    private static func bind(_ directory: String, _ configuration: BrokerConfiguration, to clusterID: String) throws(Problem) {
        guard var mark = try read(in: directory), mark.clusterID != clusterID else { return }
        if let other = mark.clusterID {
            throw .refused(
                ConfigurationError(
                    "\(directory): the data of cluster \(other), but metadata.store.url=\(configuration.metadataStoreURL) is that of cluster \(clusterID); correct metadata.store.url or log.dirs"
                ))
        }
        mark.clusterID = clusterID
        do { try mark.write(in: directory) } catch { throw .unusable(unwritable(directory, error)) }
    }

    /// Does `body` to each directory that is not `known` to be out of use, and adds those that turn out to be.
    private static func sort(
        _ configuration: BrokerConfiguration, without known: Set<Int>, _ logger: Logger,
        _ body: (_ directory: String) throws(Problem) -> Void
    ) throws(ConfigurationError) -> Set<Int> {
        var unusable = known
        var failures: [ConfigurationError] = []
        for (number, directory) in configuration.logDirectories.enumerated() where !known.contains(number) {
            do throws(Problem) { try body(BrokerConfiguration.plainDirectory(directory)) } catch {
                switch error {
                case .refused(let refusal): throw refusal
                case .unusable(let failure):
                    unusable.insert(number)
                    failures.append(failure)
                }
            }
        }
        guard unusable.count < configuration.logDirectories.count else {
            throw ConfigurationError(failures.map(\.description).joined(separator: "; "))
        }
        for failure in failures { report(unusable: failure, logger) }
        return unusable
    }

    /// The one line that says so.
    static func report(unusable failure: any Error, _ logger: Logger) {
        logger.critical(
            "A log directory cannot be used: the broker starts with the others, its replicas there are offline",
            metadata: ["error": "\(failure)"])
    }

    /// - Returns: nil where the directory carries no mark yet.
    private static func read(in directory: String) throws(Problem) -> DataDirectory? {
        guard let data = try contents(ofMarkIn: directory) else { return nil }
        struct Layout: Codable { var layout: Int }
        // First the layout alone: what a newer version wrote besides may be unreadable here.
        guard let found = try? JSONDecoder().decode(Layout.self, from: data).layout else { throw damaged(directory) }
        guard found <= layout else {
            throw .refused(
                ConfigurationError(
                    "\(directory): written by a newer version (layout \(found), this one knows \(layout)); use that version"))
        }
        guard let mark = try? JSONDecoder().decode(DataDirectory.self, from: data) else { throw damaged(directory) }
        return mark
    }

    /// A directory that is not there is a new one; one that cannot be read is not.
    private static func contents(ofMarkIn directory: String) throws(Problem) -> Data? {
        do {
            guard try PosixDisk(root: directory).list("").contains(where: { $0.name == fileName }) else { return nil }
            return try Data(contentsOf: URL(fileURLWithPath: path(in: directory)))
        } catch let error as DiskError where error.code == .notFound {
            return nil
        } catch {
            throw .unusable(
                ConfigurationError("log.dirs=\(directory): cannot be read (\(error)); mend it or name another"))
        }
    }

    private static func damaged(_ directory: String) -> Problem {
        .refused(
            ConfigurationError(
                "\(path(in: directory)): damaged; if the directory is this broker's, remove that file and start again"))
    }

    private static func unwritable(_ directory: String, _ error: any Error) -> ConfigurationError {
        ConfigurationError(
            "log.dirs=\(directory): cannot be written (\(error.localizedDescription)); choose another directory or mend its permissions"
        )
    }

    private func write(in directory: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try encoder.encode(self).write(to: URL(fileURLWithPath: Self.path(in: directory)), options: .atomic)
    }
}
