//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine

/// What the engine asks of a broker's write-ahead log, whatever it lies on: a ring in a file (``WriteAheadLog``) or objects
/// (``ObjectWAL``). Clients are told on one thread, in the order of the appends.
package protocol WALWriter: AnyObject, Sendable {
    /// For messages: the ring's file, or what the objects' keys begin with.
    var place: String { get }
    /// Copies of each byte that the medium keeps.
    var copiesPerByte: Double { get }
    /// Largest body one append may have.
    var bodyBytesMax: Int { get }

    /// Why an append of `bytes` would be refused now; nil if it would not.
    func refusal(ofBytes bytes: Int) -> LogError?
    /// Queues `append`; its place in the order is fixed on return. Does not block.
    ///
    /// - Returns: The append's number in this log, for ``release(before:)``.
    @discardableResult
    func enqueue(_ append: WALAppend) throws(LogError) -> UInt64
    /// What is queued shall not wait for company.
    func expedite()

    /// The number the next append will get: everything below it has been queued.
    var nextSequence: UInt64 { get }
    /// Lets go of appends numbered below `sequence`, all of which are in committed objects.
    func release(before sequence: UInt64)
    /// Returns once what was let go so far has left the medium, or at least counts no more in it.
    func releaseSettled() async throws(LogError)

    /// Why the log no longer writes; nil while it does.
    var failure: LogError? { get }
    /// Ends the log: nothing more is written or acknowledged. The first reason counts.
    func fail(_ error: LogError)
    func close() async

    func footprint() async throws(LogError) -> Footprint
    /// Whether the record at `position` is still needed.
    func isLive(_ position: Int64) -> Bool
    /// Every copy of `bytes` of the body of the record at `position`, read back.
    func physicalCopies(of bytes: Range<Int64>, inBodyAt position: Int64) async throws(LogError) -> [PhysicalCopy]
}
