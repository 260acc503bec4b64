//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

/// The files below a directory of this machine. The directory must exist; nothing is kept open but the files themselves.
public struct PosixDisk: Disk {
    /// Absolute or relative to the process, without a slash at the end.
    public let root: String

    public init(root: String) {
        var root = root
        while root.count > 1, root.hasSuffix("/") { root.removeLast() }
        self.root = root
    }

    public var copies: Int { 1 }

    public func physicalPaths(_ path: String) -> [String] { [absolute(path)] }

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        let flags =
            switch mode {
            case .readOnly: O_RDONLY
            case .readWrite: O_RDWR
            case .readWriteCreate: O_RDWR | O_CREAT
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            }
        let name = absolute(path)
        let descriptor = try systemCall("open", name) { Glibc.open(name, flags | O_CLOEXEC, 0o644) }
        return PosixFile(path: path, descriptor: descriptor)
    }

    public func makeDirectory(_ path: String) throws(DiskError) {
        let name = absolute(path)
        if mkdir(name, 0o755) == 0 { return }
        let code = errno
        if code == EEXIST {
            guard try isDirectory(name) else { throw DiskError(errno: ENOTDIR, operation: "mkdir", path: name) }
            return
        }
        guard code == ENOENT, !path.isEmpty else { throw DiskError(errno: code, operation: "mkdir", path: name) }
        try makeDirectory(path.parentDirectory)
        if mkdir(name, 0o755) != 0, errno != EEXIST { throw DiskError(errno: errno, operation: "mkdir", path: name) }
    }

    public func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        let name = absolute(path)
        var entries: [DiskEntry] = []
        for child in try names(in: name) {
            var status = stat()
            // What vanishes between the two calls was removed by somebody else: not there.
            guard lstat(name + "/" + child, &status) == 0 else { continue }
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            let modified = Int64(status.st_mtim.tv_sec) * 1_000 + Int64(status.st_mtim.tv_nsec) / 1_000_000
            entries.append(
                DiskEntry(
                    name: child, isDirectory: isDirectory, size: isDirectory ? 0 : Int64(status.st_size),
                    modifiedMilliseconds: modified))
        }
        return entries.sorted { $0.name < $1.name }
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        let name = absolute(path)
        var status = stat()
        if lstat(name, &status) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw DiskError(errno: errno, operation: "lstat", path: name) }
        return false
    }

    public func rename(_ source: String, to target: String) throws(DiskError) {
        _ = try systemCall("rename", absolute(source)) { Glibc.rename(absolute(source), absolute(target)) }
    }

    public func link(_ source: String, to target: String) throws(DiskError) {
        _ = try systemCall("link", absolute(target)) { Glibc.link(absolute(source), absolute(target)) }
    }

    public func remove(_ path: String) throws(DiskError) {
        let name = absolute(path)
        if unlink(name) != 0, errno != ENOENT { throw DiskError(errno: errno, operation: "unlink", path: name) }
    }

    public func removeTree(_ path: String) throws(DiskError) { try removeTree(at: absolute(path)) }

    public func synchronizeDirectory(_ path: String) throws(DiskError) {
        let name = absolute(path)
        let descriptor = try systemCall("open", name) { Glibc.open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { _ = close(descriptor) }
        _ = try systemCall("fsync", name) { fsync(descriptor) }
    }

    public func freeBytes() throws(DiskError) -> Int64 {
        let descriptor = try systemCall("open", root) { Glibc.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { _ = close(descriptor) }
        var status = Glibc.statvfs()
        _ = try systemCall("fstatvfs", root) { fstatvfs(descriptor, &status) }
        return Int64(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }

    /// The device that the root lies on: what shares it shares its free space.
    func device() throws(DiskError) -> UInt64 {
        var status = stat()
        guard lstat(root + "/.", &status) == 0 else { throw DiskError(errno: errno, operation: "lstat", path: root) }
        return UInt64(status.st_dev)
    }

    private func absolute(_ path: String) -> String { path.isEmpty ? root : root + "/" + path }

    private func isDirectory(_ name: String) throws(DiskError) -> Bool {
        var status = stat()
        // Followed if a symbolic link: a data directory may be one.
        let descriptor = try systemCall("open", name) { Glibc.open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        defer { _ = close(descriptor) }
        _ = try systemCall("fstat", name) { fstat(descriptor, &status) }
        return status.st_mode & S_IFMT == S_IFDIR
    }

    private func names(in directory: String) throws(DiskError) -> [String] {
        guard let stream = opendir(directory) else { throw DiskError(errno: errno, operation: "opendir", path: directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw DiskError(errno: errno, operation: "readdir", path: directory) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    private func removeTree(at name: String) throws(DiskError) {
        var status = stat()
        guard lstat(name, &status) == 0 else {
            if errno == ENOENT { return }
            throw DiskError(errno: errno, operation: "lstat", path: name)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            for child in try names(in: name) { try removeTree(at: name + "/" + child) }
            if rmdir(name) != 0, errno != ENOENT { throw DiskError(errno: errno, operation: "rmdir", path: name) }
        } else if unlink(name) != 0, errno != ENOENT {
            throw DiskError(errno: errno, operation: "unlink", path: name)
        }
    }
}
