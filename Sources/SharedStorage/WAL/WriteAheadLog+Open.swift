//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
package import RuntimeEnvironment

extension WriteAheadLog {
    /// Reads the newer valid header of the WAL at `path`; nil if there is no such file.
    ///
    /// Where the newer page is damaged the older one does as well: the room between their trim positions is not used before both say
    /// that it is free.
    ///
    /// - Parameter onDamage: Told the file offset of a header page that fails its checksum while the other one does not.
    /// - Throws: ``LogError/Code/corruptLog`` if neither header page is valid or the file was written by a newer version.
    package static func readHeader(
        disk: any Disk, path: String, onDamage: (_ fileOffset: Int64) -> Void = { _ in }
    ) throws(LogError) -> WALHeader? {
        do {
            guard try disk.exists(path) else { return nil }
            let file = try disk.open(path, .readOnly)
            defer { file.close() }
            guard try file.size() >= WALHeader.ringStart else { return nil }
            var newest: WALHeader?
            var damaged: [Int64] = []
            for slot in 0..<2 {
                let offset = Int64(slot * WALHeader.pageSize)
                let page = try file.readBytes(at: offset, length: WALHeader.pageSize)
                switch WALHeader.decode(page) {
                case .valid(let header): newest = newest.map { $0.sequence > header.sequence ? $0 : header } ?? header
                case .newerVersion(let version):
                    throw LogError(
                        .corruptLog,
                        "the write-ahead log \(path) has layout \(version), this program knows 1; use the program that wrote it")
                case .invalid: damaged.append(offset)
                }
            }
            guard let newest else {
                throw LogError(
                    .corruptLog, "both header pages of the write-ahead log \(path) fail their checksum (file offsets 0 and 4096)")
            }
            damaged.forEach(onDamage)
            return newest
        } catch let error as LogError {
            throw error
        } catch {
            throw LogError(.storageFailure, "the write-ahead log \(path) cannot be read", cause: error)
        }
    }

    /// Makes the ring's file for a run of the broker at `epoch`. Durable on return.
    ///
    /// A file that is there is removed: recover it first.
    ///
    /// - Parameter lock: Closed once this log writes no more.
    package static func create(
        disk: any Disk, path: String, brokerID: BrokerID, epoch: BrokerEpoch, environment: RuntimeEnvironment,
        settings: SharedStorageSettings, leaseHolds: @escaping @Sendable () -> Bool, pressure: @escaping @Sendable () -> Void,
        takenOver: @escaping @Sendable () async -> LogError? = { nil }, lock: (any DiskFile)? = nil
    ) throws(LogError) -> WriteAheadLog {
        do throws(DiskError) {
            let directory = path.parentDirectory
            try disk.makeDirectory(directory)
            let length = WALHeader.ringStart + settings.walCapacityBytes
            try disk.remove(path)
            let file = try disk.open(path, .createNew)
            try file.reserve(length)
            try file.truncate(to: length)
            var header = WALHeader(
                brokerID: brokerID, epoch: epoch, capacity: settings.walCapacityBytes, trimPosition: 0, sequence: 0, isClean: false)
            let first = header.encode()
            header.sequence = 1
            try file.write([first, header.encode()], at: 0)
            try file.synchronize()
            // The file's name, and those of the directories that were made for it.
            var above = directory
            while true {
                try disk.synchronizeDirectory(above)
                if above.isEmpty { break }
                above = above.parentDirectory
            }
            return WriteAheadLog(
                disk: disk, path: path, file: file, lock: lock, header: header, environment: environment, settings: settings,
                leaseHolds: leaseHolds, pressure: pressure, takenOver: takenOver)
        } catch {
            throw LogError(
                error.code == .noSpace ? .diskFull : .storageFailure,
                "the write-ahead log \(path) of \(settings.walCapacityBytes) bytes cannot be made", cause: error)
        }
    }
}
