//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Glibc
internal import LogModel
internal import NIOCore
internal import Synchronization

/// What this machine does without a broker, measured within a second beside each row.
///
/// On a virtual machine whose host takes back what the guest has freed, a fresh page of the page cache costs up to ten times what one
/// costs that was in use a moment ago. So appends are measured both ways: into new pages, and in a ring of segments of which the
/// oldest is removed for each new one, as the rows' topics are kept. The floor is of the second kind.
package enum MachineLimits {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// Names of the figures.
    package static func receive(_ kind: Chunk) -> String { "loopback receive \(kind.rawValue)" }
    package static func append(_ kind: Chunk) -> String { "append \(kind.rawValue)" }
    package static let freshAppend = "append 1 MB, fresh pages"
    package static let checksum = "CRC-32C"
    package static let syncP50 = "fdatasync p50"
    package static let syncP99 = "fdatasync p99"
    package static let cpuUnit = "CPU s/GB"

    /// Bytes of one call.
    package enum Chunk: String, Sendable, CaseIterable {
        case small = "16 KB"
        case large = "1 MB"

        package var bytes: Int { self == .small ? 16 << 10 : 1 << 20 }

        /// The one that is nearer to a batch.
        package init(batchBytes: Int) { self = batchBytes > 128 << 10 ? .large : .small }
    }

    /// The least that a process can spend which receives bytes on loopback, checks their CRC and writes them to a file, CPU s/GB.
    package static func floor(_ limits: Figures, _ kind: Chunk) -> Double? {
        guard let receive = limits.median(receive(kind)), let append = limits.median(append(kind)),
            let checksum = limits.median(checksum)
        else { return nil }
        return receive + append + checksum
    }

    /// Measures all of them, in files below `directory`, which are removed.
    package static func measure(in directory: String) throws -> Figures {
        var figures = Figures()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let payload = ByteBuffer(repeating: 0x5a, count: Chunk.large.bytes)
        for kind in Chunk.allCases {
            let total = kind == .large ? 192 << 20 : 64 << 20
            let received = try loopback(payload, chunk: kind.bytes, total: total)
            figures.add(receive(kind), received.cpuSeconds / received.gigabytes, cpuUnit)
            figures.add(receive(kind) + ", rate", received.gigabytes * 1_000 / received.seconds, "MB/s")
            var ring = SegmentRing(path: "\(directory)/limit", payload: payload, chunk: kind.bytes)
            defer { ring.remove() }
            let fresh = try effort(bytes: 2 * SegmentRing.segmentBytes) { try ring.append(segments: 2) }
            if kind == .large { figures.add(freshAppend, fresh.cpuSeconds / fresh.gigabytes, cpuUnit) }
            let segments = total / SegmentRing.segmentBytes
            let appended = try effort(bytes: segments * SegmentRing.segmentBytes) { try ring.append(segments: segments) }
            figures.add(append(kind), appended.cpuSeconds / appended.gigabytes, cpuUnit)
            figures.add(append(kind) + ", rate", appended.gigabytes * 1_000 / appended.seconds, "MB/s")
        }
        let summed = checksum(payload, total: 256 << 20)
        figures.add(checksum, summed.cpuSeconds / summed.gigabytes, cpuUnit)
        figures.add(checksum + ", rate", summed.gigabytes / summed.seconds, "GB/s")
        let syncs = try synced(payload, count: 200, path: "\(directory)/limit.log")
        figures.add(syncP50, syncs.seconds(at: 0.5), "s")
        figures.add(syncP99, syncs.seconds(at: 0.99), "s")
        return figures
    }

    private struct Effort {
        var cpuSeconds: Double
        var seconds: Double
        var gigabytes: Double
    }

    /// What `body`, run on a thread of its own, costs that thread.
    private static func effort(bytes: Int, _ body: () throws -> Void) rethrows -> Effort {
        let (cpu, wall) = (now(CLOCK_THREAD_CPUTIME_ID), now(CLOCK_MONOTONIC))
        try body()
        return Effort(
            cpuSeconds: now(CLOCK_THREAD_CPUTIME_ID) - cpu, seconds: now(CLOCK_MONOTONIC) - wall, gigabytes: Double(bytes) / 1e9)
    }

    private static func now(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    // MARK: The measurements

    /// The receiver's side alone: a thread sends, this one reads into one buffer.
    private static func loopback(_ payload: ByteBuffer, chunk: Int, total: Int) throws -> Effort {
        let (receiver, sender) = try connectedPair()
        defer { close(receiver) }
        Thread.detachNewThread {
            payload.withUnsafeReadableBytes { bytes in
                var left = total
                while left > 0 {
                    let sent = write(sender, bytes.baseAddress!, min(chunk, left))
                    guard sent > 0 else { break }
                    left -= sent
                }
            }
            close(sender)
        }
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        var got = 0
        let effort = effort(bytes: total) {
            while got < total {
                let count = buffer.withUnsafeMutableBytes { read(receiver, $0.baseAddress!, $0.count) }
                guard count > 0 else { break }
                got += count
            }
        }
        guard got == total else { throw Failure(description: "loopback: \(got) of \(total) bytes arrived") }
        return effort
    }

    private static func connectedPair() throws -> (receiver: Int32, sender: Int32) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let sender = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 1) == 0 && getsockname(listener, address, &length) == 0
                    && connect(sender, address, length) == 0
            }
        }
        guard isConnected else {
            close(sender)
            throw Failure(description: "loopback: \(String(cString: strerror(errno)))")
        }
        return (accept(listener, nil, nil), sender)
    }

    /// Files written one after the other, of which the last two are kept.
    private struct SegmentRing {
        static let segmentBytes = 64 << 20

        let path: String
        let payload: ByteBuffer
        let chunk: Int
        private var written = 0

        init(path: String, payload: ByteBuffer, chunk: Int) {
            self.path = path
            self.payload = payload
            self.chunk = chunk
        }

        mutating func append(segments: Int) throws {
            for _ in 0..<segments {
                let descriptor = try MachineLimits.newFile("\(path)-\(written)")
                defer { close(descriptor) }
                written += 1
                if written > 2 { unlink("\(path)-\(written - 3)") }
                var offset = 0
                while offset < Self.segmentBytes {
                    let count = payload.withUnsafeReadableBytes { pwrite(descriptor, $0.baseAddress!, chunk, off_t(offset)) }
                    guard count == chunk else { throw Failure(description: "\(path): \(String(cString: strerror(errno)))") }
                    offset += count
                }
            }
        }

        func remove() { for number in max(0, written - 3)..<written { unlink("\(path)-\(number)") } }
    }

    private static func synced(_ payload: ByteBuffer, count: Int, path: String) throws -> LatencyHistogram {
        let descriptor = try newFile(path)
        defer {
            close(descriptor)
            unlink(path)
        }
        var histogram = LatencyHistogram()
        for index in 0..<count {
            let written = payload.withUnsafeReadableBytes { pwrite(descriptor, $0.baseAddress!, 4096, off_t(index * 4096)) }
            let start = now(CLOCK_MONOTONIC)
            guard written == 4096, fdatasync(descriptor) == 0 else {
                throw Failure(description: "\(path): \(String(cString: strerror(errno)))")
            }
            histogram.record(nanoseconds: Int64((now(CLOCK_MONOTONIC) - start) * 1e9))
        }
        return histogram
    }

    private static func checksum(_ payload: ByteBuffer, total: Int) -> Effort {
        // Held, so that no compiler finds the work to be idle.
        let kept = Atomic<UInt32>(0)
        return effort(bytes: total) {
            for _ in 0..<(total / payload.readableBytes) {
                let before = kept.load(ordering: .relaxed)
                kept.store(
                    CRC32C.extend(before, with: payload, at: payload.readerIndex, length: payload.readableBytes),
                    ordering: .relaxed)
            }
        }
    }

    private static func newFile(_ path: String) throws -> Int32 {
        unlink(path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Failure(description: "\(path): \(String(cString: strerror(errno)))") }
        return descriptor
    }
}
