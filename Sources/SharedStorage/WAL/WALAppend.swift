//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
package import NIOCore
internal import Synchronization

/// Who is told what became of an append. Called on the WAL's thread, in the order of the log.
package protocol WALClient: AnyObject, Sendable {
    /// The record at `position` is synced and this broker still holds its lease: the append may be acknowledged.
    func appendDurable(_ offsets: Range<Offset>, position: Int64)
    /// Nothing more of this client's will become durable.
    func appendFailed(_ error: LogError)
    /// After the last record of a group that held some of this client's.
    func groupEnded()
    /// For the log alone.
    var groupMark: WALGroupMark { get }
}

/// Says which of a client's appends is its first in a group, without a set of those seen. Belongs to one client of one log.
package final class WALGroupMark: Sendable {
    private let last = Atomic<Int64>(-1)

    package init() {}

    /// Whether this is the first call for the group that begins at `position`. On the log's thread only.
    func isFirst(ofGroup position: Int64) -> Bool { last.exchange(position, ordering: .relaxed) != position }
}

/// One partition's batches on their way into the log.
package struct WALAppend: Sendable {
    package var stream: StreamID
    package var leaderEpoch: LeaderEpoch
    package var offsets: Range<Offset>
    package var body: ByteBuffer
    package var client: any WALClient

    package init(stream: StreamID, leaderEpoch: LeaderEpoch, offsets: Range<Offset>, body: ByteBuffer, client: any WALClient) {
        self.stream = stream
        self.leaderEpoch = leaderEpoch
        self.offsets = offsets
        self.body = body
        self.client = client
    }
}

/// An append and where its record lies.
struct PlacedAppend {
    var append: WALAppend
    var position: Int64
}

extension [PlacedAppend] {
    /// Tells the clients of a group that all of it is durable, in order. On the log's thread.
    func tellDurable() {
        for placed in self { placed.append.client.appendDurable(placed.append.offsets, position: placed.position) }
        guard let start = first?.position else { return }
        for placed in self where placed.append.client.groupMark.isFirst(ofGroup: start) { placed.append.client.groupEnded() }
    }
}

extension [any WALClient] {
    /// Tells each once.
    func tell(_ failure: LogError) {
        var told: Set<ObjectIdentifier> = []
        for client in self where told.insert(ObjectIdentifier(client)).inserted { client.appendFailed(failure) }
    }
}
