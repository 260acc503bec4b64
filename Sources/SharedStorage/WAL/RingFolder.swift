//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
package import RuntimeEnvironment

/// Where the rings of a broker lie, one file for each of its runs: a run that is not dead after all writes into its own file, which
/// the next run does not use.
package struct RingFolder: Sendable {
    package let disk: any Disk
    /// What the names of the files begin with, relative to the disk's root.
    package let base: String
    package let broker: BrokerID

    package init(disk: any Disk, base: String, broker: BrokerID) {
        self.disk = disk
        self.base = base
        self.broker = broker
    }

    private var prefix: String { "\(base)-\(broker)-" }
    private static let suffix = ".wal"

    /// The ring of one run.
    package func path(of epoch: BrokerEpoch) -> String { "\(prefix)\(epoch)\(Self.suffix)" }
    package var lockPath: String { "\(base)-\(broker).lock" }

    /// Keeps other processes from being the same broker on this volume until what is returned is closed. Blocks.
    ///
    /// - Throws: ``LogError/Code/notAvailable`` while another has it.
    package func lock() throws(LogError) -> any DiskFile {
        do throws(DiskError) {
            try disk.makeDirectory(base.parentDirectory)
            let file = try disk.open(lockPath, .readWriteCreate)
            try file.lock()
            return file
        } catch {
            guard error.code == .inUse else {
                throw LogError(
                    error.code == .noSpace ? .diskFull : .storageFailure,
                    "the file \(lockPath) beside the write-ahead log of broker \(broker) cannot be locked", cause: error)
            }
            throw LogError(
                .notAvailable,
                "the write-ahead log of broker \(broker) (\(lockPath)) is in use by another process; end that one, or give each broker a wal.path of its own",
                cause: error)
        }
    }

    /// Removes the rings of earlier runs, all that they held being committed. Blocks.
    package func removeRings(except kept: Set<BrokerEpoch>) throws(DiskError) {
        let directory = base.parentDirectory
        let folder = directory.isEmpty ? "" : directory + "/"
        for entry in try disk.list(directory) where !entry.isDirectory {
            let path = folder + entry.name
            guard path.hasPrefix(prefix), path.hasSuffix(Self.suffix),
                let epoch = Int64(path.dropFirst(prefix.count).dropLast(Self.suffix.count)), !kept.contains(BrokerEpoch(epoch))
            else { continue }
            try disk.remove(path)
        }
    }
}
