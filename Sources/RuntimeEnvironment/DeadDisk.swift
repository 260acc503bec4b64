//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Stands where a disk cannot be used: every call fails as the first one did.
public struct DeadDisk: Disk {
    private let failure: DiskError

    public init(_ failure: DiskError) { self.failure = failure }

    public var copies: Int { 1 }
    public func physicalPaths(_ path: String) -> [String] { [] }
    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile { throw failure }
    public func makeDirectory(_ path: String) throws(DiskError) { throw failure }
    public func list(_ path: String) throws(DiskError) -> [DiskEntry] { throw failure }
    public func exists(_ path: String) throws(DiskError) -> Bool { throw failure }
    public func rename(_ source: String, to target: String) throws(DiskError) { throw failure }
    public func link(_ source: String, to target: String) throws(DiskError) { throw failure }
    public func remove(_ path: String) throws(DiskError) { throw failure }
    public func removeTree(_ path: String) throws(DiskError) { throw failure }
    public func synchronizeDirectory(_ path: String) throws(DiskError) { throw failure }
    public func freeBytes() throws(DiskError) -> Int64 { throw failure }
}
