//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit

/// The bytes that replicas of a partition keep on their disks, held against each other. With replicated logs they are the same.
enum ReplicaComparison {
    private struct Copy {
        var broker: Int32
        /// Bytes of each batch by its base offset.
        var batches: [Int64: [UInt8]] = [:]
        var start: Int64 = .max
        /// Exclusive.
        var end: Int64 = 0
    }

    /// - Parameters:
    ///   - directory: The partition's, by its last name.
    ///   - replicas: All of them in sync.
    ///   - committedEnd: What each must have, from where it begins; nil where only what all have is held against each other.
    /// - Returns: Copies that were compared.
    @discardableResult
    static func check(_ directory: String, on replicas: [Int32], in world: ClusterWorld, committedEnd: Int64?) throws -> Int {
        let copies = try replicas.map { try read(directory, on: $0, in: world) }
        let end = committedEnd ?? copies.map(\.end).min() ?? 0
        for copy in copies where committedEnd != nil {
            guard copy.end >= end else {
                throw Violation(
                    .acknowledgedSurvives,
                    "\(directory): broker \(copy.broker) is in sync, and its disk has nothing from \(copy.end) on of \(end) offsets"
                )
            }
        }
        for (one, other) in zip(copies, copies.dropFirst()) {
            let start = max(one.start, other.start)
            let offsets = Set(one.batches.keys).union(other.batches.keys).filter { $0 >= start && $0 < end }
            for offset in offsets.sorted() where one.batches[offset] != other.batches[offset] {
                throw Violation(
                    .replicasAgree,
                    "\(directory): the batch at \(offset) is not the same on brokers \(one.broker) (\(one.batches[offset]?.count ?? 0) bytes) and \(other.broker) (\(other.batches[offset]?.count ?? 0) bytes)"
                )
            }
        }
        return copies.count
    }

    /// The end of the whole batches, without a gap, on a broker's disk.
    static func wholeEnd(_ directory: String, on broker: Int32, in world: ClusterWorld) -> Int64 {
        guard let disk = world.machines[broker]?.disk else { return 0 }
        var end: Int64?
        for path in segments(directory, on: disk) {
            guard let bytes = try? disk.readFile(path) else { break }
            var rest = bytes
            // Batch by batch: what follows a torn one is none.
            while let length = rest.getInteger(at: rest.readerIndex + 8, as: Int32.self), length > 0,
                let batch = rest.readSlice(length: 12 + Int(length)), let whole = try? RecordBatches(verifying: batch),
                let header = whole.entries.first?.header
            {
                let base = header.baseOffset.rawValue
                guard end == nil || base == end else { return end! }
                end = base + Int64(header.lastOffsetDelta) + 1
            }
            if rest.readableBytes > 0 { break }
        }
        return end ?? 0
    }

    private static func segments(_ directory: String, on disk: SimulatedDisk) -> [String] {
        disk.files(below: "").map(\.path).filter { path in
            let parts = path.split(separator: "/")
            return path.hasSuffix(".log") && parts.count > 1 && parts[parts.count - 2] == directory
        }.sorted()
    }

    private static func read(_ directory: String, on broker: Int32, in world: ClusterWorld) throws -> Copy {
        var copy = Copy(broker: broker)
        guard let disk = world.machines[broker]?.disk else { return copy }
        for path in segments(directory, on: disk) {
            // A follower begun at the tier's end may have nothing yet, from there on.
            let name = path.split(separator: "/").last?.dropLast(".log".count) ?? ""
            copy.end = max(copy.end, Int64(name) ?? 0)
            do {
                let batches = try RecordBatches(verifying: disk.readFile(path), allowsPartialTail: true)
                for (index, entry) in batches.entries.enumerated() {
                    let next = index + 1 < batches.entries.count ? batches.entries[index + 1].position : batches.sizeInBytes
                    let base = entry.header.baseOffset.rawValue
                    copy.start = min(copy.start, base)
                    copy.end = max(copy.end, base + Int64(entry.header.lastOffsetDelta) + 1)
                    let at = batches.buffer.readerIndex + entry.position
                    copy.batches[base] = batches.buffer.getBytes(at: at, length: next - entry.position)
                }
            } catch {
                throw Violation(.corruption, "broker \(broker): \(path): \(error)")
            }
        }
        return copy
    }
}

extension SimulatedDisk {
    /// Every file below a directory, with its size, in order.
    func files(below path: String) -> [(path: String, size: Int64)] {
        ((try? list(path)) ?? []).flatMap { entry -> [(path: String, size: Int64)] in
            let below = path.isEmpty ? entry.name : "\(path)/\(entry.name)"
            return entry.isDirectory ? files(below: below) : [(below, entry.size)]
        }
    }
}
