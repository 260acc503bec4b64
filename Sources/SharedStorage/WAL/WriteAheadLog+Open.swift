//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
package import RuntimeEnvironment

extension WriteAheadLog {
    /// Reads the newer valid header of the WAL at `path`; nil if there is no such file.
    ///
    /// - Throws: ``LogError/Code/corruptLog`` if neither header page is valid or the file was written by a newer version.
    package static func readHeader(disk: any Disk, path: String) throws(LogError) -> WALHeader? {
        do {
            guard try disk.exists(path) else { return nil }
            let file = try disk.open(path, .readOnly)
            defer { file.close() }
            guard try file.size() >= WALHeader.ringStart else { return nil }
            var newest: WALHeader?
            for slot in 0..<2 {
                let page = try file.readBytes(at: Int64(slot * WALHeader.pageSize), length: WALHeader.pageSize)
                switch WALHeader.decode(page) {
                case .valid(let header): newest = newest.map { $0.sequence > header.sequence ? $0 : header } ?? header
                case .newerVersion(let version):
                    throw LogError(
                        .corruptLog,
                        "the write-ahead log \(path) has layout \(version), this program knows 1; use the program that wrote it")
                case .invalid: continue
                }
            }
            guard let newest else {
                throw LogError(
                    .corruptLog, "both header pages of the write-ahead log \(path) fail their checksum (file offsets 0 and 4096)")
            }
            return newest
        } catch let error as LogError {
            throw error
        } catch {
            throw LogError(.storageFailure, "the write-ahead log \(path) cannot be read", cause: error)
        }
    }

    /// Makes the ring's file, or empties the one there, for a run of the broker at `epoch`. Durable on return.
    ///
    /// All that the file held is given up: recover it first.
    package static func create(
        disk: any Disk, path: String, brokerID: BrokerID, epoch: BrokerEpoch, environment: RuntimeEnvironment,
        settings: SharedStorageSettings, leaseHolds: @escaping @Sendable () -> Bool, pressure: @escaping @Sendable () -> Void,
        takenOver: @escaping @Sendable () async -> LogError? = { nil }
    ) throws(LogError) -> WriteAheadLog {
        // What cannot be read is not worth keeping: the caller has recovered all that was.
        let previous = try? readHeader(disk: disk, path: path)
        do throws(DiskError) {
            let directory = path.parentDirectory
            try disk.makeDirectory(directory)
            let length = WALHeader.ringStart + settings.walCapacityBytes
            let file: any DiskFile
            var sequence: Int64 = 0
            if let previous, previous.capacity == settings.walCapacityBytes {
                file = try disk.open(path, .readWrite)
                sequence = previous.sequence + 1
            } else {
                // A ring of another size: its headers must not be mistaken for ours, so the file is made anew.
                try disk.remove(path)
                file = try disk.open(path, .createNew)
                try file.reserve(length)
                try file.truncate(to: length)
            }
            let header = WALHeader(
                brokerID: brokerID, epoch: epoch, capacity: settings.walCapacityBytes, trimPosition: 0, sequence: sequence,
                isClean: false)
            try file.write([header.encode()], at: header.fileOffset)
            try file.synchronize()
            // The file's name, and those of the directories that were made for it.
            var above = directory
            while true {
                try disk.synchronizeDirectory(above)
                if above.isEmpty { break }
                above = above.parentDirectory
            }
            return WriteAheadLog(
                disk: disk, path: path, file: file, header: header, environment: environment, settings: settings,
                leaseHolds: leaseHolds,
                pressure: pressure, takenOver: takenOver)
        } catch {
            throw LogError(
                error.code == .noSpace ? .diskFull : .storageFailure,
                "the write-ahead log \(path) of \(settings.walCapacityBytes) bytes cannot be made", cause: error)
        }
    }
}
