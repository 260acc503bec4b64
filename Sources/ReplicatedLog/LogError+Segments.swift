//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import RuntimeEnvironment

extension LogError {
    /// What a failure of a partition's files means to the log's callers.
    init(_ error: SegmentError, _ partition: PartitionID) {
        switch error {
        case .disk(let disk) where disk.code == .noSpace:
            self.init(.diskFull, "\(partition): the volume is full, nothing was written; free space and it goes on", cause: disk)
        case .disk(let disk):
            self.init(.storageFailure, "\(partition): the volume failed: \(disk)", cause: disk)
        case .corrupt(let message), .unsupported(let message):
            self.init(.corruptLog, "\(partition): \(message)")
        case .closed:
            self.init(.notLeader, "\(partition): the log is closed on this broker")
        }
    }

    static func notLeader(_ partition: PartitionID) -> LogError {
        LogError(.notLeader, "\(partition): this broker does not lead it; refresh the metadata")
    }
}
