//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel

/// The record that tells clients who leads a partition. The engine closes the stream, then asks this to name the new leader.
public protocol OwnershipRegistry: Sendable {
    /// Makes `target` leader of the partition at the next leader epoch, by compare-and-set against `assignment`, and ends the move.
    /// Durable on return. Repeating it after success is fine.
    ///
    /// - Parameter source: The owner that closed the stream.
    /// - Throws: ``LogError/Code/fencedLeaderEpoch`` if the record has changed since `assignment` (the move was cancelled, or the
    ///   leader replaced): the caller looks at the next assignment. Anything else: the outcome is unknown.
    func completeHandover(_ assignment: PartitionAssignment, from source: BrokerID, to target: BrokerID) async throws(LogError)
}
