//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import Testing

@Suite struct ProducerStatesTests {
    private func header(
        _ producerID: Int64, epoch: Int16 = 0, sequence: Int32, count: Int32 = 1, at offset: Int64 = 0, time: Int64 = 0,
        attributes: UInt16 = 0
    ) throws -> RecordBatchHeader {
        let records = (0..<count).map { _ in Record(timestamp: Timestamp(time), key: nil, value: nil) }
        let batch = RecordBatchBuilder.batch(
            of: records, producerID: producerID, producerEpoch: epoch, baseSequence: sequence, attributes: attributes)
        var header = try RecordBatchHeader(in: batch, at: 0)
        header.baseOffset = Offset(offset)
        return header
    }

    private func refusal(_ states: ProducerStates, _ header: RecordBatchHeader) -> LogError.Code? {
        do {
            _ = try states.check(header)
            return nil
        } catch { return error.code }
    }

    @Test func retriesAreKnownAndGapsRefused() throws {
        var states = ProducerStates()
        #expect(try states.check(try header(7, sequence: 40)) == .accept, "an unknown producer may begin anywhere")
        states.record(try header(7, sequence: 0, count: 3, at: 100))
        #expect(try states.check(try header(7, sequence: 0, count: 3)) == .duplicate(Offset(100)..<Offset(103)))
        #expect(try states.check(try header(7, sequence: 3)) == .accept)
        #expect(refusal(states, try header(7, sequence: 4)) == .outOfOrderSequence)
        #expect(refusal(states, try header(7, sequence: 0, count: 2)) == .outOfOrderSequence, "half a batch is no retry")
        #expect(try states.check(try header(8, sequence: 0)) == .accept)
        #expect(try states.check(try header(-1, sequence: -1)) == .accept)
        #expect(refusal(states, try header(7, sequence: -1)) == .invalidRecord)
    }

    @Test func fiveBatchesAreRemembered() throws {
        var states = ProducerStates()
        for number in 0..<8 { states.record(try header(7, sequence: Int32(number), at: Int64(number))) }
        #expect(states[7]?.batches.count == 5)
        for number in 3..<8 {
            #expect(
                try states.check(try header(7, sequence: Int32(number)))
                    == .duplicate(Offset(Int64(number))..<Offset(Int64(number + 1))))
        }
        #expect(refusal(states, try header(7, sequence: 2)) == .outOfOrderSequence)
    }

    @Test func aNewEpochBeginsAtZeroAndTheOldIsFenced() throws {
        var states = ProducerStates()
        states.record(try header(7, epoch: 1, sequence: 5))
        #expect(refusal(states, try header(7, epoch: 0, sequence: 6)) == .invalidProducerEpoch)
        #expect(refusal(states, try header(7, epoch: 2, sequence: 6)) == .outOfOrderSequence)
        #expect(try states.check(try header(7, epoch: 2, sequence: 0)) == .accept)
        states.record(try header(7, epoch: 2, sequence: 0))
        #expect(states[7]?.batches.count == 1)
    }

    @Test func batchesOfOneAppendSeeEachOther() throws {
        var buffer = ByteBuffer()
        let record = Record(timestamp: Timestamp(0), key: nil, value: nil)
        for sequence in [Int32(0), 1, 3] {
            buffer.writeImmutableBuffer(
                RecordBatchBuilder.batch(of: [record], producerID: 7, producerEpoch: 0, baseSequence: sequence))
        }
        let size = buffer.readableBytes / 3
        #expect(try ProducerStates().check(try RecordBatches(verifying: buffer.getSlice(at: 0, length: 2 * size)!)) == .accept)
        #expect(throws: LogError.self) { try ProducerStates().check(try RecordBatches(verifying: buffer)) }
    }

    @Test func entriesCarryTheStateOver() throws {
        var states = ProducerStates()
        for number in 0..<4 { states.record(try header(Int64(number % 2), sequence: Int32(number / 2), at: Int64(number))) }
        let copy = ProducerStates(entries: states.entries)
        #expect(copy == states)
        #expect(states.entries.map(\.producerID) == [0, 1])
    }

    @Test func truncationForgetsWhatWasCut() throws {
        var states = ProducerStates()
        states.record(try header(1, sequence: 0, at: 0))
        states.record(try header(1, sequence: 1, count: 5, at: 1))
        states.record(try header(2, sequence: 0, at: 6))
        states.truncate(to: Offset(5))
        #expect(states[2] == nil)
        #expect(try states.check(try header(1, sequence: 1)) == .accept)
    }

    @Test func idleProducersExpire() throws {
        var states = ProducerStates()
        states.record(try header(1, sequence: 0, time: 1_000))
        states.record(try header(2, sequence: 0, time: 2_000))
        states.record(try header(3, sequence: 0, at: 9, time: 500, attributes: 0x10))
        states.removeExpired(before: Timestamp(2_000))
        #expect(states.entries.map(\.producerID) == [2, 3], "an open transaction keeps its producer")
        #expect(states.firstOpenTransaction == Offset(9))
        states.record(try header(3, sequence: -1, at: 10, time: 600, attributes: 0x30), coordinatorEpoch: 4)
        #expect(states.firstOpenTransaction == nil)
        #expect(states[3]?.coordinatorEpoch == 4)
    }
}
