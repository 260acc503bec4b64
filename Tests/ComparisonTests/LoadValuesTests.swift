//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import LogModel
import NIOCore
import Testing

@Suite struct BatchTemplateTests {
    private func template(recordBytes: Int = 100, batchBytes: Int = 4000, keyBytes: Int = 0, ratio: Double = 0.5) -> BatchTemplate {
        var generator = SeededGenerator(seed: 7)
        return BatchTemplate(
            number: 3, recordBytes: recordBytes, compressibleTo: ratio, batchBytesMax: batchBytes, keyBytes: keyBytes,
            randomness: &generator)
    }

    private func identity(_ sequence: Int64 = 12_345) -> RecordIdentity {
        RecordIdentity(
            run: 1, producer: 2, partition: 3, template: 3, firstSequence: sequence, intendedNanoseconds: 987_654_321,
            intervalNanoseconds: 1234.5)
    }

    @Test(arguments: [0, 8])
    func aBatchOfAnyLengthIsValidAndHoldsItsRecords(keyBytes: Int) throws {
        let template = template(keyBytes: keyBytes)
        #expect(template.recordsMax > 20)
        for records in 1...template.recordsMax {
            let slices = template.batch(
                records: records, identity: identity(), timestamp: Timestamp(1_700_000_000_000), producerID: 9, producerEpoch: 1,
                baseSequence: 77)
            #expect(slices.sizeInBytes == template.batchBytes(records: records))
            #expect(slices.sizeInBytes <= 4000)
            // Verifies the CRC, which was joined from two.
            let batches = try RecordBatches(verifying: slices.contiguous())
            let header = batches.entries[0].header
            #expect(header.producerID == 9 && header.producerEpoch == 1 && header.baseSequence == 77)
            let read = try batches.records(of: batches.entries[0])
            #expect(read.count == records)
            #expect(read.allSatisfy { $0.value?.readableBytes == 100 && ($0.key?.readableBytes ?? 0) == keyBytes })
            #expect(template.identity(in: batches.buffer, at: 0) == identity())
            #expect(template.matches(batches.buffer, at: 0, records: records))
        }
    }

    @Test func aChangedByteIsSeen() throws {
        let template = template()
        var bytes = try template.batch(
            records: 5, identity: identity(), timestamp: .none, producerID: -1, producerEpoch: -1, baseSequence: -1
        ).contiguous()
        bytes.setInteger(UInt8(1), at: bytes.writerIndex - 3)
        #expect(!template.matches(bytes, at: 0, records: 5))
    }

    @Test(arguments: [0.0, 0.25, 1.0])
    func theRandomShareIsWhatWasAskedFor(ratio: Double) throws {
        let template = template(recordBytes: 1000, batchBytes: 20_000, ratio: ratio)
        let batches = try RecordBatches(
            verifying: template.batch(
                records: 10, identity: identity(), timestamp: .none, producerID: -1, producerEpoch: -1, baseSequence: -1
            ).contiguous())
        let value = try #require(try batches.records(of: batches.entries[0])[4].value)
        let zeros = value.readableBytesView.filter { $0 == 0 }.count
        #expect(abs(Double(1000 - zeros) / 1000 - ratio) < 0.02)
    }

    @Test func aRecordLargerThanABatchGoesAlone() {
        #expect(template(recordBytes: 9000, batchBytes: 4000).recordsMax == 1)
    }

    @Test func theBodyIsSharedAndNotCopied() throws {
        let template = template()
        func bodyAddress() throws -> UInt {
            let slices = template.batch(
                records: 10, identity: identity(), timestamp: .none, producerID: -1, producerEpoch: -1, baseSequence: -1)
            guard case .bytes(let body) = slices.slices[1] else { throw CancellationError() }
            return body.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress!) }
        }
        #expect(try bodyAddress() == bodyAddress())
    }
}

@Suite struct SendScheduleTests {
    private struct Taken: Equatable {
        var partition: Int
        var records: DueRecords
    }

    private func take(_ schedule: inout SendSchedule, at now: Int64) -> [Taken] {
        var taken: [Taken] = []
        schedule.takeDue(at: now) { taken.append(Taken(partition: $0, records: $1)) }
        return taken
    }

    @Test func recordsFallDueAtTheirTimesHoweverLateWeLook() {
        var prompt = SendSchedule(
            recordsPerSecond: 1000, partitionCount: 1, recordsPerBatchMax: 10, linger: .milliseconds(5), startNanoseconds: 1_000_000
        )
        var late = prompt
        var promptly: [Int64] = []
        for now in stride(from: Int64(0), through: 51_000_000, by: 100_000) {
            for part in take(&prompt, at: now) {
                for index in 0..<part.records.count { promptly.append(part.records.intended(index)) }
            }
        }
        var lately: [Int64] = []
        for part in take(&late, at: 51_000_000) {
            for index in 0..<part.records.count { lately.append(part.records.intended(index)) }
        }
        #expect(promptly == lately)
        #expect(promptly == (0...50).map { 1_000_000 + $0 * 1_000_000 })
    }

    @Test func aBatchEndsWhenItIsFullOrHasLingered() {
        var schedule = SendSchedule(
            recordsPerSecond: 1000, partitionCount: 3, recordsPerBatchMax: 4, linger: .milliseconds(10), startNanoseconds: 0)
        // Ten records due at once: four, four, and two that wait for more.
        let taken = take(&schedule, at: 9_000_000)
        #expect(taken.map(\.partition) == [0, 1, 2])
        #expect(taken.map(\.records.count) == [4, 4, 2])
        #expect(schedule.openPartition == 2)
        // The batch would be full before its linger is over.
        #expect(schedule.nextNanoseconds == 11_000_000)
        var slow = SendSchedule(
            recordsPerSecond: 100, partitionCount: 2, recordsPerBatchMax: 100, linger: .milliseconds(25), startNanoseconds: 0)
        #expect(take(&slow, at: 0).map(\.records.count) == [1])
        #expect(slow.nextNanoseconds == 25_000_000)
        #expect(take(&slow, at: 24_000_000).map(\.partition) == [0])
        #expect(take(&slow, at: 25_000_000).isEmpty)
        #expect(slow.openPartition == nil)
        #expect(take(&slow, at: 30_000_000).map(\.partition) == [1])
    }

    /// The only partition always has an open batch; what closed before it must not wait for it.
    @Test func withASinglePartitionABatchThatHasLingeredIsNoLongerOpen() {
        var schedule = SendSchedule(
            recordsPerSecond: 1000, partitionCount: 1, recordsPerBatchMax: 100, linger: .milliseconds(2), startNanoseconds: 0)
        #expect(take(&schedule, at: 1_500_000).map(\.records.count) == [2])
        #expect(schedule.openRecords(of: 0) == 2)
        #expect(take(&schedule, at: 2_500_000).map(\.records.count) == [1])
        #expect(schedule.openPartition == 0)
        #expect(schedule.openRecords(of: 0) == 1)
    }

    @Test func withoutLingerEachRecordGoesAlone() {
        var schedule = SendSchedule(
            recordsPerSecond: 1000, partitionCount: 3, recordsPerBatchMax: 100, linger: .zero, startNanoseconds: 0)
        let taken = take(&schedule, at: 3_000_000)
        #expect(taken.map(\.partition) == [0, 1, 2, 0])
        #expect(taken.allSatisfy { $0.records.count == 1 })
        #expect(schedule.openPartition == nil)
        #expect(schedule.nextNanoseconds == 4_000_000)
    }

    @Test func recordsOfABatchThatStraddlesTheWindowAreCountedOneByOne() {
        let records = DueRecords(intendedNanoseconds: 100, intervalNanoseconds: 10, count: 10)
        func counted(_ from: Int64, _ until: Int64) -> [Int64] {
            let part = records.within(CountedWindow(fromNanoseconds: from, untilNanoseconds: until))
            return (0..<(part?.count ?? 0)).map { part!.intended($0) }
        }
        for (from, until) in [(0, 1000), (100, 190), (95, 105), (101, 131), (150, 150), (0, 100), (191, 500), (190, 191)]
            as [(Int64, Int64)]
        {
            #expect(counted(from, until) == stride(from: 100, to: 200, by: 10).filter { $0 >= from && $0 < until })
        }
    }

    @Test func theScheduleEndsWhereItIsTold() {
        var schedule = SendSchedule(
            recordsPerSecond: 1000, partitionCount: 1, recordsPerBatchMax: 100, linger: .milliseconds(1), startNanoseconds: 0)
        schedule.endNanoseconds = 5_000_000
        #expect(take(&schedule, at: 50_000_000).reduce(0) { $0 + $1.records.count } == 5)
        #expect(take(&schedule, at: 60_000_000).isEmpty)
    }

    @Test func aNewRateOwesNothing() {
        var schedule = SendSchedule(
            recordsPerSecond: 1000, partitionCount: 1, recordsPerBatchMax: 1, linger: .zero, startNanoseconds: 0)
        _ = take(&schedule, at: 10_000_000)
        schedule.changeRate(recordsPerSecond: 100, at: 20_000_000)
        #expect(take(&schedule, at: 29_000_000).map(\.records.intendedNanoseconds) == [20_000_000])
    }
}

@Suite struct SequenceRangesTests {
    @Test(arguments: 0..<20 as Range<UInt64>)
    func rangesAgreeWithASetOfNumbers(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var ranges = SequenceRanges()
        var numbers: Set<Int64> = []
        for _ in 0..<200 {
            let start = Int64(generator.next() % 500)
            let range = start..<start + Int64(generator.next() % 12)
            let held = range.filter { numbers.contains($0) }.count
            #expect(ranges.insert(range) == Int64(held))
            numbers.formUnion(range)
            #expect(ranges.count == Int64(numbers.count))
        }
        for (left, right) in zip(ranges.ranges, ranges.ranges.dropFirst()) { #expect(left.upperBound < right.lowerBound) }
        var other = SequenceRanges()
        var otherNumbers: Set<Int64> = []
        for _ in 0..<50 {
            let start = Int64(generator.next() % 500)
            other.insert(start..<start + 9)
            otherNumbers.formUnion(start..<start + 9)
        }
        #expect(ranges.count(missingFrom: other) == Int64(numbers.subtracting(otherNumbers).count))
    }
}

@Suite struct LatencyHistogramTests {
    @Test func aRunOfLatenciesIsAsRecordingEach() {
        for (first, step, count) in [
            (5_000_000, 1000.0, 4000), (900_000_000, 7.5, 10_000), (50_000, 1_000_000.0, 3), (0, 10.0, 5), (2_000_000, 0.0, 9),
        ] as [(Int64, Double, Int)] {
            var whole = LatencyHistogram()
            whole.record(firstNanoseconds: first, stepNanoseconds: step, count: count)
            var each = LatencyHistogram()
            for index in 0..<count { each.record(nanoseconds: max(0, first - Int64(step * Double(index)))) }
            #expect(whole.count == Int64(count))
            for quantile in [0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 1] {
                #expect(abs(whole.seconds(at: quantile) - each.seconds(at: quantile)) <= 2e-6 + each.seconds(at: quantile) * 0.002)
            }
        }
    }

    @Test func theCurveRisesToTheMaximum() {
        var histogram = LatencyHistogram()
        for value in 1...10_000 { histogram.record(nanoseconds: Int64(value) * 1000) }
        let curve = histogram.curve()
        #expect(curve.last?[0] == 1)
        #expect(abs((curve.last?[1] ?? 0) - 0.01) < 1e-5)
        for (left, right) in zip(curve, curve.dropFirst()) { #expect(left[0] <= right[0] && left[1] <= right[1]) }
        #expect(abs(histogram.percentiles.p50 - 0.005) < 1e-5)
    }
}

@Suite struct GapWatchTests {
    @Test func theLongestGapsAreKeptLongestFirst() {
        var watch = GapWatch()
        var time: Int64 = 0
        for step in 1...30 as ClosedRange<Int64> {
            watch.acknowledged(7, at: time)
            time += step % 17
        }
        watch.acknowledged(8, at: 5)
        let lengths = watch.longest.map { $0.untilNanoseconds - $0.fromNanoseconds }
        #expect(lengths.count == GapWatch.kept)
        #expect(lengths == lengths.sorted(by: >))
        #expect(lengths.first == 16)
        watch.end(at: 1000, of: [8])
        #expect(watch.longest.last?.untilNanoseconds == 1000)
    }
}

@Suite struct ProcessCPUTests {
    @Test func aNameWithBracketsAndSpacesDoesNotConfuse() {
        let line = "4242 (a) b (c d) S 1 4242 4242 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 12345 1000000 200"
        #expect(ProcessCPU.seconds(inStat: line, ticksPerSecond: 100) == 3)
        #expect(ProcessCPU.seconds(inStat: "4242 (a) S 1", ticksPerSecond: 100) == nil)
    }

    @Test func ownTimeRises() {
        let before = ProcessCPU.own()
        var value: UInt64 = 1
        while ProcessCPU.own() == before { value = value &* 3 }
        #expect(value != 0)
    }
}
