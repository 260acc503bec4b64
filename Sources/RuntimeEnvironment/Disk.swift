//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
@_spi(CustomByteBufferAllocator) public import NIOCore

/// A file system failure: which call, on what, why.
public struct DiskError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        case notFound
        case alreadyExists
        case noSpace
        case permissionDenied
        case inputOutput
        /// The file is shorter than what was asked for.
        case endOfFile
        /// Somebody else has locked the file.
        case inUse
        case other
    }

    public var code: Code
    /// The system call's name.
    public var operation: String
    public var path: String
    /// `errno`, 0 where there was none.
    public var errno: CInt

    public init(code: Code, operation: String, path: String, errno: CInt = 0) {
        self.code = code
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    public var description: String {
        let reason =
            switch code {
            case .notFound: "no such file or directory"
            case .alreadyExists: "it exists already"
            case .noSpace: "no space left on the device"
            case .permissionDenied: "permission denied"
            case .inputOutput: "input/output error"
            case .endOfFile: "the file ends before the bytes asked for"
            case .inUse: "in use by another process"
            case .other: Self.systemMessage(errno)
            }
        return "\(operation) \(path): \(reason)"
    }
}

/// How a file is opened.
public enum OpenMode: Sendable, Hashable {
    case readOnly
    /// Must exist.
    case readWrite
    /// Made if missing, kept if there.
    case readWriteCreate
    /// Must not exist yet.
    case createNew
}

/// An open file. All calls block and are safe from any thread; offsets are bytes from the start of the file.
public protocol DiskFile: AnyObject, Sendable {
    var path: String { get }
    /// A descriptor for `sendfile`; nil where there is none.
    var descriptor: CInt? { get }
    /// Bytes from the start to the end.
    func size() throws(DiskError) -> Int64
    /// Fills all of `buffer` from `offset`, or throws ``DiskError/Code/endOfFile``.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError)
    /// Writes all of `bytes` at `offset`, growing the file if need be. In the page cache on return; durable after ``synchronize()``.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError)
    /// Writes the readable bytes of `buffers` back to back from `offset` (`pwritev`).
    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError)
    /// As ``write(_:at:)-(_,_)``, for bytes that nobody will read soon: they go past the page cache where the file system lets them.
    /// For a file that one caller writes, from its start.
    func writeUncached(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError)
    /// As ``write(_:at:)-(_,_)``, for bytes that nobody will read soon, anywhere in the file: the page cache lets go of them as soon as they
    /// are on the medium, where the kernel can do so (`RWF_DONTCACHE`, Linux 6.14), and is not swept of what is read meanwhile.
    func writeDropping(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError)
    /// Sets the length; new bytes read as zero.
    func truncate(to length: Int64) throws(DiskError)
    /// Reserves blocks for `length` bytes from the start without changing the length (`fallocate` with KEEP_SIZE). May do nothing.
    func reserve(_ length: Int64) throws(DiskError)
    /// Data, and what is needed to read it back, are on the medium on return (`fdatasync`).
    ///
    /// After a failure the state of what was written since the last success is unknown: the caller must not retry and count on it.
    func synchronize() throws(DiskError)
    /// Bytes allocated on the medium (`st_blocks` × 512), summed over copies where the disk keeps several.
    func allocatedBytes() throws(DiskError) -> Int64
    /// Keeps the file for this opening of it alone (`flock`) until it is closed or the process ends. A file system that knows no locks
    /// lets everybody.
    ///
    /// - Throws: ``DiskError/Code/inUse`` at once if another has it.
    func lock() throws(DiskError)
    /// Further calls fail. Closing twice is allowed.
    func close()
}

public struct DiskEntry: Sendable, Hashable {
    public var name: String
    public var isDirectory: Bool
    /// Bytes from start to end; 0 for a directory.
    public var size: Int64
    /// Of the content, milliseconds since 1970; nil where the disk does not tell.
    public var modifiedMilliseconds: Int64?

    public init(name: String, isDirectory: Bool, size: Int64, modifiedMilliseconds: Int64? = nil) {
        self.name = name
        self.isDirectory = isDirectory
        self.size = size
        self.modifiedMilliseconds = modifiedMilliseconds
    }
}

/// A tree of files. Paths are relative to the disk's root, with `/` between names; "" is the root. All calls block.
public protocol Disk: Sendable {
    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile
    /// Makes the directory and those above it; one that exists is fine.
    func makeDirectory(_ path: String) throws(DiskError)
    /// Sorted by name.
    func list(_ path: String) throws(DiskError) -> [DiskEntry]
    func exists(_ path: String) throws(DiskError) -> Bool
    /// Atomic; replaces `target`. Durable after ``synchronizeDirectory(_:)`` of the directories concerned.
    func rename(_ source: String, to target: String) throws(DiskError)
    /// Gives the file `source` a second name, `target` (`link(2)`). Of all who race for a name, between processes too, exactly one
    /// succeeds; the others get ``DiskError/Code/alreadyExists``. Durable after ``synchronizeDirectory(_:)`` of the target's directory.
    func link(_ source: String, to target: String) throws(DiskError)
    /// Removes a file; one that is not there is fine.
    func remove(_ path: String) throws(DiskError)
    /// Removes a directory and all in it; one that is not there is fine.
    func removeTree(_ path: String) throws(DiskError)
    /// Names made, renamed and removed in the directory are durable on return.
    func synchronizeDirectory(_ path: String) throws(DiskError)
    /// Bytes that can still be written (of the fullest copy).
    func freeBytes() throws(DiskError) -> Int64
    /// Where the bytes of `path` really lie: one absolute path per copy, for `trace` and for `du`. Empty on a simulated disk.
    func physicalPaths(_ path: String) -> [String]
    /// How many copies of each byte this disk itself keeps and we can count: 1 for a directory, N for `replicated:N:`.
    var copies: Int { get }
    /// Each healthy copy by itself, for a reader that can tell by checksums which of them is whole.
    var copiesAlone: [any Disk] { get }
}

extension Disk {
    public var copiesAlone: [any Disk] { [self] }

    /// Reads a whole file.
    public func readFile(_ path: String) throws(DiskError) -> ByteBuffer {
        let file = try open(path, .readOnly)
        defer { file.close() }
        return try file.readBytes(at: 0, length: Int(try file.size()))
    }

    /// Replaces `path` so that a crash leaves the old or the new content, never a mixture: written beside it, synced, renamed,
    /// the directory synced. Durable on return.
    public func replaceFile(_ path: String, with content: ByteBuffer) throws(DiskError) {
        let temporary = path + ".tmp"
        try remove(temporary)
        let file = try open(temporary, .createNew)
        do throws(DiskError) {
            try file.write([content], at: 0)
            try file.synchronize()
        } catch {
            file.close()
            throw error
        }
        file.close()
        try rename(temporary, to: path)
        try synchronizeDirectory(path.parentDirectory)
    }
}

extension DiskFile {
    /// For files that no second opening can reach.
    public func lock() throws(DiskError) {}

    public func writeUncached(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) { try write(buffers, at: offset) }

    public func writeDropping(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) { try write(buffers, at: offset) }

    /// `length` bytes from `offset`, in memory of their own size.
    public func readBytes(at offset: Int64, length: Int) throws(DiskError) -> ByteBuffer {
        guard length > 0, let memory = malloc(length) else { return ByteBuffer() }
        let space = UnsafeMutableRawBufferPointer(start: memory, count: length)
        do throws(DiskError) { try read(into: space, at: offset) } catch {
            free(memory)
            throw error
        }
        return ByteBuffer(takingOwnershipOf: space, allocator: ByteBufferAllocator(), writerIndex: length)
    }
}

extension String {
    /// `a/b/c` → `a/b`; "" for a name without a slash.
    package var parentDirectory: String {
        guard let slash = lastIndex(of: "/") else { return "" }
        return String(self[..<slash])
    }
}
