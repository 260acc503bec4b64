//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import Metering
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Testing
import TieredOffload

/// KIP-956.
@Suite struct TransferQuotaTests {
    private static func at(_ seconds: Double) -> MonotonicInstant { MonotonicInstant(nanoseconds: Int64(seconds * 1e9)) }

    @Test func withoutALimitNothingWaits() {
        var quota = TransferQuota(TransferLimit())
        quota.note(1 << 50, at: Self.at(0))
        #expect(quota.delay(at: Self.at(0)) == .zero)
    }

    @Test func aTransferIsAdmittedWholeAndPaidForAfterwards() {
        var quota = TransferQuota(TransferLimit(bytesPerSecond: 1_000))
        #expect(quota.delay(at: Self.at(5)) == .zero)
        // Ten windows' worth: just at the limit.
        quota.note(10_000, at: Self.at(5))
        #expect(quota.delay(at: Self.at(5)) == .zero)
        quota.note(5_000, at: Self.at(5.5))
        let delay = quota.delay(at: Self.at(5.5))
        #expect(delay > .seconds(4.9) && delay < .seconds(5.1))
        // All windows have passed.
        #expect(quota.delay(at: Self.at(16.6)) == .zero)
    }

    @Test func overALongTimeTheRateIsTheLimit() {
        var quota = TransferQuota(TransferLimit(bytesPerSecond: 1_000))
        var now = 0.0
        var moved: Int64 = 0
        while now < 1_000 {
            let delay = quota.delay(at: Self.at(now))
            if delay == .zero {
                quota.note(700, at: Self.at(now))
                moved += 700
            }
            now += max(0.01, delay.inSeconds)
        }
        #expect((900_000...1_120_000).contains(moved), "\(moved)")
    }

    @Test func segmentsBeyondTheCopyQuotaWaitOnTheirVolume() async throws {
        let bench = TierBench()
        var settings = TieredSettings.test
        settings.copyLimit = TransferLimit(bytesPerSecond: 100)
        let broker = try await bench.start(settings: settings)
        for _ in 0..<3 { try await broker.fill(batches: 5) }
        let before = try await broker.readAll()
        try await broker.engine.settle()
        // The first took what there was.
        #expect(try await bench.records().count == 1)
        #expect(broker.log.offsets.localStart == Offset(25))
        #expect(try await broker.readAll() == before)
        try await bench.world.clock.autoAdvancing {
            try await eventually("the others follow") { try await bench.records().count == 3 }
        }
        #expect(try await broker.readAll() == before)
        await broker.engine.shutdown()
    }

    @Test func aLimitThatIsLiftedLetsGoWhatWaits() async throws {
        let bench = TierBench()
        var settings = TieredSettings.test
        settings.copyLimit = TransferLimit(bytesPerSecond: 1)
        let meters = Meters()
        let broker = try await bench.start(settings: settings, meters: meters)
        for _ in 0..<3 { try await broker.fill(batches: 5) }
        let size = broker.log.sizeInBytes
        try await broker.engine.settle()
        #expect(try await bench.records().count == 1)
        #expect(broker.engine.copyLag.segments == 2 && broker.engine.copyLag.bytes == size / 3 * 2)
        broker.engine.setTransferLimits(copyBytesPerSecond: nil, fetchBytesPerSecond: 1)
        try await eventually("the others follow") {
            try await bench.records().allSatisfy { $0.state == .copyFinished } && broker.engine.copyLag.segments == 0
        }
        #expect(try await bench.records().count == 3)
        #expect(meters.remoteCopy.bytes.value == size && meters.remoteCopy.requests.value == 3)
        #expect(meters.remoteCopy.errors.value == 0 && broker.engine.copyLag.bytes == 0)
        func read(_ offset: Int64) async throws -> Int {
            try await broker.log.read(
                from: Offset(offset), maxBytes: 100_000, minOneBatch: true, bound: .highWatermark, reader: .consumer,
                currentLeaderEpoch: nil
            ).records.sizeInBytes
        }
        let bytes = try await read(0)
        #expect(bytes > 0 && meters.remoteFetch.bytes.value == Int64(bytes))
        #expect(try await read(25) == 0)
        broker.engine.setTransferLimits(copyBytesPerSecond: nil, fetchBytesPerSecond: nil)
        #expect(try await read(25) > 0)
        bench.store.setFault { $0.kind == .get ? .fail(.timedOut) : nil }
        #expect(await failure { _ = try await read(50) } == .notAvailable)
        #expect(meters.remoteFetch.errors.value == 1)
        await broker.engine.shutdown()
    }

    @Test func readersBeyondTheFetchQuotaAreAnsweredWithoutRecordsAndNotRefused() async throws {
        let bench = TierBench()
        var settings = TieredSettings.test
        settings.fetchLimit = TransferLimit(bytesPerSecond: 100)
        let broker = try await bench.start(settings: settings)
        for _ in 0..<2 { try await broker.fill(batches: 5) }
        try await broker.fill(batches: 1, seals: false)
        try await broker.engine.settle()
        func read(_ offset: Int64) async throws -> Int {
            try await broker.log.read(
                from: Offset(offset), maxBytes: 100_000, minOneBatch: true, bound: .highWatermark, reader: .consumer,
                currentLeaderEpoch: nil
            ).records.sizeInBytes
        }
        #expect(try await read(0) > 1_000)
        #expect(try await read(25) == 0)
        // What lies on the volume is not held back.
        #expect(try await read(50) > 0)
        bench.world.clock.advance(by: .seconds(60))
        #expect(try await read(25) > 1_000)
        await broker.engine.shutdown()
    }
}
