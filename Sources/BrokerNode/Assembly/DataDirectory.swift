//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel

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

    /// Marks a new directory, or refuses one that is another broker's, another mode's, or a newer program's.
    static func claim(_ configuration: BrokerConfiguration) throws(ConfigurationError) {
        for directory in configuration.logDirectories { try claim(BrokerConfiguration.plainDirectory(directory), configuration) }
    }

    private static func claim(_ directory: String, _ configuration: BrokerConfiguration) throws(ConfigurationError) {
        if let mark = try read(in: directory) {
            guard mark.nodeID == configuration.nodeID.rawValue else {
                throw ConfigurationError(
                    "\(directory): the data of broker \(mark.nodeID), not of broker \(configuration.nodeID); correct node.id or log.dirs"
                )
            }
            guard mark.storageMode == configuration.storageMode else {
                throw ConfigurationError(
                    "\(directory): written with storage.mode=\(mark.storageMode), now \(configuration.storageMode); use another directory or the former mode (a topic may choose its own mode at creation)"
                )
            }
            return
        }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try DataDirectory(layout: layout, nodeID: configuration.nodeID.rawValue, storageMode: configuration.storageMode)
                .write(in: directory)
        } catch {
            throw unwritable(directory, error)
        }
    }

    /// Notes the cluster the directory belongs to, or refuses one that belongs to another: logs that a cluster's metadata does not
    /// name are deleted, so the metadata must be the right ones.
    static func bind(_ configuration: BrokerConfiguration, to clusterID: String) throws(ConfigurationError) {
        for directory in configuration.logDirectories {
            try bind(BrokerConfiguration.plainDirectory(directory), configuration, to: clusterID)
        }
    }

    private static func bind(
        _ directory: String, _ configuration: BrokerConfiguration, to clusterID: String
    ) throws(ConfigurationError) {
        guard var mark = try read(in: directory), mark.clusterID != clusterID else { return }
        if let other = mark.clusterID {
            throw ConfigurationError(
                "\(directory): the data of cluster \(other), but metadata.store.url=\(configuration.metadataStoreURL) is that of cluster \(clusterID); correct metadata.store.url or log.dirs"
            )
        }
        mark.clusterID = clusterID
        do { try mark.write(in: directory) } catch { throw unwritable(directory, error) }
    }

    /// - Returns: nil where the directory carries no mark yet.
    private static func read(in directory: String) throws(ConfigurationError) -> DataDirectory? {
        guard let data = FileManager.default.contents(atPath: path(in: directory)) else { return nil }
        struct Layout: Codable { var layout: Int }
        // First the layout alone: what a newer version wrote besides may be unreadable here.
        guard let found = try? JSONDecoder().decode(Layout.self, from: data).layout else { throw damaged(directory) }
        guard found <= layout else {
            throw ConfigurationError(
                "\(directory): written by a newer version (layout \(found), this one knows \(layout)); use that version")
        }
        guard let mark = try? JSONDecoder().decode(DataDirectory.self, from: data) else { throw damaged(directory) }
        return mark
    }

    private static func damaged(_ directory: String) -> ConfigurationError {
        ConfigurationError("\(path(in: directory)): damaged; if the directory is this broker's, remove that file and start again")
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
