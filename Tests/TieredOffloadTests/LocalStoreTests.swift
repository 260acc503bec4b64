//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogEngine
import LogModel
import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Testing
import TieredOffload

/// Objects in directories, where every copy can be opened and counted.
@Suite struct LocalStoreTests {
    @Test func everyCopyOfARecordIsFoundAndCounted() async throws {
        var template = Array((NSTemporaryDirectory() + "/ninefold-XXXXXX").utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let meters = Meters()
        let store = try LocalDirectoryStore(
            url: "file://\(path)?copies=3", disk: PosixDisk(root: path), copies: 3, environment: .system, meters: meters)
        let bench = TierBench()
        let broker = try await bench.start(store: store)
        for _ in 0..<2 { try await broker.fill(batches: 20) }
        let size = broker.log.sizeInBytes
        let before = try await broker.readAll()
        try await broker.engine.settle()
        #expect(try await broker.readAll() == before)

        let copies = try await broker.log.physicalCopies(of: Offset(33))
        #expect(copies.count == 3)
        #expect(Set(copies.map(\.location)).count == 3)
        let batch = try await broker.log.read(
            from: Offset(33), maxBytes: 1, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        for copy in copies {
            #expect(copy.crc32c == CRC32C.checksum(of: try batch.records.contiguous()) && copy.problem == nil)
            #expect(copy.location.hasPrefix(path) && copy.location.contains("orders-"))
        }

        let object = try await broker.engine.objectFootprint().entries[.object]!
        #expect(object.recordBytes == 3 * size)
        var allocated: Int64 = 0
        for file in FileManager.default.enumerator(atPath: path)! {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(file)")
            guard attributes[.type] as? FileAttributeType == .typeRegular, "\(file)".contains("orders-") else { continue }
            var status = stat()
            #expect(stat("\(path)/\(file)", &status) == 0)
            allocated += Int64(status.st_blocks) * 512
        }
        #expect(object.physicalBytes == allocated)
        #expect(meters.objectRequests[.put]!.value == 6)

        try await broker.engine.delete(bench.partition, ownsSharedData: true)
        #expect(try await broker.engine.objectFootprint().entries[.object]!.physicalBytes == 0)
        await broker.engine.shutdown()
        await store.close()
    }
}
