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

    /// Marks a new directory, or refuses one that is another broker's, another mode's, or a newer program's.
    static func claim(_ configuration: BrokerConfiguration) throws(ConfigurationError) {
        let directory = BrokerConfiguration.plainDirectory(configuration.logDirectory)
        let path = "\(directory)/\(fileName)"
        if let data = FileManager.default.contents(atPath: path) {
            guard let mark = try? JSONDecoder().decode(DataDirectory.self, from: data) else {
                throw ConfigurationError("\(path): damaged; if the directory is this broker's, remove that file and start again")
            }
            guard mark.layout <= layout else {
                throw ConfigurationError(
                    "\(directory): written by a newer version (layout \(mark.layout), this one knows \(layout)); use that version")
            }
            guard mark.nodeID == configuration.nodeID.rawValue else {
                throw ConfigurationError(
                    "\(directory): the data of broker \(mark.nodeID), not of broker \(configuration.nodeID); correct node.id or log.dirs")
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
            let mark = DataDirectory(layout: layout, nodeID: configuration.nodeID.rawValue, storageMode: configuration.storageMode)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            try encoder.encode(mark).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw ConfigurationError("log.dirs=\(configuration.logDirectory): cannot be written (\(error.localizedDescription)); choose another directory or its permissions")
        }
    }
}
