//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// What a process has used since it started, as Linux counts it.
package struct ProcessUsage: Sendable, Hashable {
    package var cpuSeconds = 0.0
    /// Calls of the read and of the write kind (`read`, `pread`, `sendfile`, …), on sockets and files alike. `recv`, `send` and `epoll_wait`
    /// are not among them.
    package var readCalls: Int64 = 0
    package var writeCalls: Int64 = 0
    /// Bytes handed to calls of the write kind, sockets included.
    package var bytesWritten: Int64 = 0
    /// Of all threads that live.
    package var voluntarySwitches: Int64 = 0
    package var involuntarySwitches: Int64 = 0
    /// Now, and at its highest.
    package var residentBytes: Int64 = 0
    package var residentBytesMax: Int64 = 0

    package init() {}

    /// From `/proc/PID`; nil if there is no such process or it belongs to somebody else.
    package static func of(pid: Int32) -> ProcessUsage? {
        guard let cpu = ProcessCPU.of(pid: pid), let io = text("/proc/\(pid)/io"), let status = text("/proc/\(pid)/status") else {
            return nil
        }
        var usage = ProcessUsage()
        usage.cpuSeconds = cpu
        usage.take(io: io)
        usage.take(status: status)
        for thread in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? [] {
            // One that has ended since is not counted.
            if let status = text("/proc/\(pid)/task/\(thread)/status") { usage.take(threadStatus: status) }
        }
        return usage
    }

    /// `/proc/PID/io`.
    package mutating func take(io: String) {
        let values = Self.numbers(in: io)
        readCalls = values["syscr"] ?? 0
        writeCalls = values["syscw"] ?? 0
        bytesWritten = values["wchar"] ?? 0
    }

    /// `/proc/PID/status`, whose switches are those of the first thread alone and not taken.
    package mutating func take(status: String) {
        let values = Self.numbers(in: status)
        residentBytes = (values["VmRSS"] ?? 0) << 10
        residentBytesMax = (values["VmHWM"] ?? 0) << 10
    }

    /// `/proc/PID/task/TID/status`.
    package mutating func take(threadStatus: String) {
        let values = Self.numbers(in: threadStatus)
        voluntarySwitches += values["voluntary_ctxt_switches"] ?? 0
        involuntarySwitches += values["nonvoluntary_ctxt_switches"] ?? 0
    }

    /// The numbers of `name: number unit` lines.
    static func numbers(in text: String) -> [String: Int64] {
        var values: [String: Int64] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(whereSeparator: { $0 == ":" || $0 == " " || $0 == "\t" })
            if fields.count >= 2, let value = Int64(fields[1]) { values[String(fields[0])] = value }
        }
        return values
    }

    /// What was used between two looks; sizes are those of the later one.
    package static func - (later: ProcessUsage, earlier: ProcessUsage) -> ProcessUsage {
        var used = later
        used.cpuSeconds -= earlier.cpuSeconds
        used.readCalls -= earlier.readCalls
        used.writeCalls -= earlier.writeCalls
        used.bytesWritten -= earlier.bytesWritten
        // A thread that ended took its count with it.
        used.voluntarySwitches = max(0, used.voluntarySwitches - earlier.voluntarySwitches)
        used.involuntarySwitches = max(0, used.involuntarySwitches - earlier.involuntarySwitches)
        return used
    }

    /// Of several processes together.
    package static func + (one: ProcessUsage, other: ProcessUsage) -> ProcessUsage {
        var sum = one
        sum.cpuSeconds += other.cpuSeconds
        sum.readCalls += other.readCalls
        sum.writeCalls += other.writeCalls
        sum.bytesWritten += other.bytesWritten
        sum.voluntarySwitches += other.voluntarySwitches
        sum.involuntarySwitches += other.involuntarySwitches
        sum.residentBytes += other.residentBytes
        sum.residentBytesMax += other.residentBytesMax
        return sum
    }

    private static func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
}
