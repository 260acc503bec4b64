//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
public import Metering
internal import NIOCore

/// A place for a broker's files: a disk, and the text it was named by.
public struct Volume: Sendable {
    /// As the user gave it: `DIR` or `replicated:N:DIR`.
    public var specification: String
    public var disk: any Disk

    public init(specification: String, disk: any Disk) {
        self.specification = specification
        self.disk = disk
    }
}

/// Why a volume cannot be used, in one line for whoever started the program.
public struct VolumeError: Error, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

extension Volume {
    /// What a specification says.
    public enum Kind: Sendable, Hashable {
        case directory(String)
        /// Copies lie in `DIR/copy-0` … `DIR/copy-(N-1)`.
        case replicated(copies: Int, directory: String)

        /// - Throws: ``VolumeError`` naming the text and what is allowed.
        public init(parsing specification: String) throws(VolumeError) {
            guard specification.hasPrefix("replicated:") else {
                guard !specification.isEmpty else { throw VolumeError("volume: give DIR or replicated:N:DIR, not an empty text") }
                self = .directory(specification)
                return
            }
            let parts = specification.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let copies = Int(parts[1]), (1...16).contains(copies), !parts[2].isEmpty else {
                throw VolumeError("volume '\(specification)': write replicated:N:DIR with N from 1 to 16")
            }
            self = .replicated(copies: copies, directory: String(parts[2]))
        }
    }

    /// Opens the volume, making its directories, and tries whether they can be written.
    ///
    /// - Parameters:
    ///   - classify: What the bytes of a path (relative to the volume) are for.
    ///   - onUnhealthy: Told of each copy of a replicated volume that is left out (``ReplicatedDisk/unhealthyCopies``).
    /// - Throws: ``VolumeError``: bad specification, no directory, not writable, copies that do not belong together.
    public static func open(
        specification: String, meters: Meters, classify: @escaping @Sendable (String) -> WriteClass,
        onUnhealthy: @escaping @Sendable (_ copy: Int, _ failure: DiskError) -> Void = { _, _ in }
    ) throws(VolumeError) -> Volume {
        switch try Kind(parsing: specification) {
        case .directory(let directory):
            let disk = try openDirectory(directory, of: specification)
            return Volume(specification: specification, disk: MeteredDisk(disk, meters: meters, classify: classify))
        case .replicated(let count, let directory):
            var disks: [PosixDisk] = []
            for copy in 0..<count { disks.append(try openDirectory("\(directory)/copy-\(copy)", of: specification)) }
            try CopyIdentity.check(disks, directory: directory, specification: specification)
            let copies = disks.map { MeteredDisk($0, meters: meters, classify: classify, isVolumeCopy: true) }
            do {
                var copiesByDevice: [UInt64: Int] = [:]
                for disk in disks { copiesByDevice[try disk.device(), default: 0] += 1 }
                let disk = try ReplicatedDisk(
                    copies: copies, copiesPerMedium: copiesByDevice.values.max() ?? 1, workers: ThreadWorkerPool(),
                    onUnhealthy: onUnhealthy)
                for (copy, failure) in disk.unhealthyCopies { onUnhealthy(copy, failure) }
                return Volume(specification: specification, disk: disk)
            } catch {
                throw VolumeError("volume '\(specification)': no majority of its copies can be used: \(error)")
            }
        }
    }

    private static func openDirectory(_ directory: String, of specification: String) throws(VolumeError) -> PosixDisk {
        let disk = PosixDisk(root: directory)
        do {
            // From the top, as the disk itself makes only what lies below its root.
            let above = PosixDisk(root: directory.hasPrefix("/") ? "/" : ".")
            try makeDurably(directory.hasPrefix("/") ? String(directory.drop { $0 == "/" }) : directory, on: above)
            let probe = ".writable-\(getpid())"
            let file = try disk.open(probe, .readWriteCreate)
            defer { file.close() }
            try file.write([ByteBuffer(string: "?")], at: 0)
            try disk.remove(probe)
        } catch {
            throw VolumeError("volume '\(specification)': \(error); name a directory that this user may write")
        }
        return disk
    }

    /// Makes the directory so that a power cut leaves it: what is synced in it is lost all the same if its own name is not.
    private static func makeDurably(_ path: String, on disk: PosixDisk) throws(DiskError) {
        // The parent always: a former start may have been cut off between making and syncing.
        var parents = [path.parentDirectory]
        while let highest = parents.last, !highest.isEmpty, try !disk.exists(highest) { parents.append(highest.parentDirectory) }
        try disk.makeDirectory(path)
        for parent in parents.reversed() {
            // One that may be searched but not read cannot be synced.
            do throws(DiskError) { try disk.synchronizeDirectory(parent) } catch  where error.code == .permissionDenied {}
        }
    }
}
