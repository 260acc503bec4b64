//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import NIOCore
import ObjectStore
import SharedStorage
import SimulationKit

/// What the `shared` engine still keeps, read out of the objects and the metadata themselves.
enum SharedRemains {
    /// - Parameter topics: Deleted ones.
    /// - Returns: What is left of them, and objects that nobody needs.
    static func look(for topics: Set<TopicID>, in world: ClusterWorld) async throws -> [String] {
        var left: [String] = []
        for record in world.metadata.now(prefix: "/shared/") where topics.contains(where: { record.key.contains($0.hex) }) {
            left.append("metadata \(record.key)")
        }
        let expected = try await SharedAudit.expectations(in: world.metadata, clock: world.clock)
        for key in world.objectStore.keys where SharedAudit.prefixes.contains(where: { key.hasPrefix($0) }) {
            if expected.announcedPrefixes.contains(where: { key.hasPrefix($0) }) { continue }
            guard let object = expected.objects[key] else {
                left.append("object \(key), which no metadata name")
                continue
            }
            if object.holds.isEmpty {
                left.append("object \(key), of which nobody needs anything")
                continue
            }
            let body = try await world.objectStore.get(key, range: nil)
            for entry in try index(of: body).entries where topics.contains(entry.stream.topicID) {
                left.append("object \(key): offsets \(entry.start)..<\(entry.end) of \(entry.stream), \(entry.length) bytes")
            }
        }
        return left
    }

    private static func index(of object: ByteBuffer) throws -> ObjectIndex {
        let footer = object.writerIndex - ObjectFormat.footerSize
        guard footer >= object.readerIndex, let position = object.getInteger(at: footer, as: Int64.self),
            let rest = object.getSlice(
                at: object.readerIndex + Int(position), length: object.readableBytes - Int(position))
        else { throw Violation(.corruption, "an object is shorter than its footer says") }
        return try ObjectIndex.decode(indexAndFooter: rest, indexPosition: position)
    }
}
