//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

extension ProducerStates {
    public enum Verdict: Sendable, Hashable {
        case accept
        /// Written before, with these offsets (half-open): answer with them and write nothing.
        case duplicate(Range<Offset>)
    }

    /// Whether a client's batch may be written now. Changes nothing. Batches without a producer id are always accepted.
    ///
    /// A producer this log does not know (never seen, expired) may begin at any sequence.
    /// - Throws: ``LogError/Code/invalidProducerEpoch`` for an epoch older than the known one; ``LogError/Code/outOfOrderSequence`` for a gap,
    ///   for a new epoch that does not begin at 0, and, as in Kafka, for a repetition older than the batches remembered;
    ///   ``LogError/Code/invalidRecord`` for a producer id without a sequence.
    public func check(_ header: RecordBatchHeader) throws(LogError) -> Verdict {
        guard header.hasProducerID, !header.isControl else { return .accept }
        guard header.producerEpoch >= 0, header.baseSequence >= 0 else {
            throw LogError(
                .invalidRecord, "producer \(header.producerID) sent a batch with its id but without an epoch or a sequence")
        }
        guard let state = self[header.producerID] else { return .accept }
        guard header.producerEpoch >= state.epoch else {
            throw LogError(
                .invalidProducerEpoch,
                "producer \(header.producerID) sent epoch \(header.producerEpoch); a newer instance has epoch \(state.epoch)")
        }
        guard header.producerEpoch == state.epoch else {
            guard header.baseSequence == 0 else {
                throw outOfOrder(header, "a new epoch begins at sequence 0")
            }
            return .accept
        }
        for batch in state.batches
        where batch.baseSequence == header.baseSequence && batch.lastSequence == header.lastSequence {
            return .duplicate(batch.baseOffset..<(batch.lastOffset + 1))
        }
        guard let last = state.batches.last else {
            guard header.baseSequence == 0 else { throw outOfOrder(header, "the epoch has no records yet, so 0 is expected") }
            return .accept
        }
        let expected = RecordBatchHeader.sequence(last.lastSequence, plus: 1)
        guard header.baseSequence == expected else { throw outOfOrder(header, "\(expected) is expected") }
        return .accept
    }

    /// ``check(_:)-(RecordBatchHeader)`` for all batches of one append, each seeing those before it.
    ///
    /// - Returns: `duplicate` if any of them is one, as Kafka does: a produce request holds one batch per partition.
    public func check(_ batches: RecordBatches) throws(LogError) -> Verdict {
        if batches.entries.count == 1 { return try check(batches.entries[0].header) }
        var scratch = ProducerStates(
            entries: Set(batches.entries.lazy.filter(\.header.hasProducerID).map(\.header.producerID)).compactMap { self[$0] })
        for entry in batches.entries {
            let verdict = try scratch.check(entry.header)
            guard verdict == .accept else { return verdict }
            scratch.record(entry.header)
        }
        return .accept
    }

    private func outOfOrder(_ header: RecordBatchHeader, _ reason: String) -> LogError {
        LogError(
            .outOfOrderSequence,
            "producer \(header.producerID), epoch \(header.producerEpoch), sent sequence \(header.baseSequence): \(reason)")
    }
}
