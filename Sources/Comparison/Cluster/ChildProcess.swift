//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation
internal import Synchronization

/// Every process this one has started and not yet seen end, so that none is left behind: killed on Ctrl-C and at exit.
package enum ChildProcesses {
    private struct State {
        var running: Set<pid_t> = []
        var isClosed = false
    }

    private static let state = Mutex(State())

    /// Starts a process by `launch`, unless this program is about to end. What it starts is known before anyone can ask for all to be killed.
    static func start(_ launch: () throws -> pid_t) throws -> pid_t {
        try state.withLock { state in
            guard !state.isClosed else { throw CancellationError() }
            let pid = try launch()
            state.running.insert(pid)
            return pid
        }
    }

    static func ended(_ pid: pid_t) { state.withLock { _ = $0.running.remove(pid) } }

    /// SIGKILL to all; safe to call more than once.
    package static func killAll() {
        for pid in state.withLock(\.running) { kill(pid, SIGKILL) }
    }

    /// The program ends: kills all, lets no other start, and returns once they are gone (or will not go, after some seconds).
    package static func endAll() {
        state.withLock { $0.isClosed = true }
        killAll()
        for _ in 0..<1_000 where !state.withLock(\.running.isEmpty) { usleep(5_000) }
    }

    /// Whether the program is about to end: a child's end is no news then.
    package static var isEnding: Bool { state.withLock(\.isClosed) }
}

/// A process of ours with its output in a file.
package final class ChildProcess: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    package let pid: pid_t
    package let name: String
    private let process: Mutex<Process>
    private let exit = Mutex<ExitState>(.running([]))

    private enum ExitState {
        case running([CheckedContinuation<Int32, Never>])
        case ended(Int32)
    }

    /// - Parameters:
    ///   - logPath: Gets standard error, and standard output unless `standardOutput` is given.
    package init(
        name: String, executable: String, arguments: [String], environment: [String: String] = [:], logPath: String,
        standardInput: Pipe? = nil, standardOutput: Pipe? = nil
    ) throws {
        self.name = name
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        guard FileManager.default.createFile(atPath: logPath, contents: nil), let log = FileHandle(forWritingAtPath: logPath) else {
            throw Failure(description: "\(name): cannot write its log \(logPath); is the directory writable?")
        }
        process.standardInput = standardInput ?? FileHandle.nullDevice
        if let standardOutput { process.standardOutput = standardOutput } else { process.standardOutput = log }
        process.standardError = log
        let box = WeakBox()
        process.terminationHandler = { ended in
            ChildProcesses.ended(ended.processIdentifier)
            box.value?.didEnd(ended.terminationStatus)
        }
        do {
            pid = try ChildProcesses.start {
                try process.run()
                return process.processIdentifier
            }
        } catch { throw Failure(description: "\(name): cannot start \(executable) (\(error))") }
        self.process = Mutex(process)
        box.value = self
        // It may have ended before the box was filled.
        if !process.isRunning { didEnd(process.terminationStatus) }
    }

    private final class WeakBox: @unchecked Sendable {
        private let lock = Mutex<Void>(())
        private weak var stored: ChildProcess?
        var value: ChildProcess? {
            get { lock.withLock { _ in stored } }
            set { lock.withLock { _ in stored = newValue } }
        }
    }

    private func didEnd(_ status: Int32) {
        ChildProcesses.ended(pid)
        let waiting = exit.withLock { state -> [CheckedContinuation<Int32, Never>] in
            guard case .running(let waiting) = state else { return [] }
            state = .ended(status)
            return waiting
        }
        for continuation in waiting { continuation.resume(returning: status) }
    }

    package var isRunning: Bool {
        exit.withLock { if case .running = $0 { true } else { false } }
    }

    /// `exit code 1` or `signal 11`; nil while it runs.
    package var end: String? {
        guard !isRunning else { return nil }
        return process.withLock { process in
            let cause = process.terminationReason == .uncaughtSignal ? "signal" : "exit code"
            return "\(cause) \(process.terminationStatus)"
        }
    }

    package func signal(_ number: Int32) { if isRunning { kill(pid, number) } }

    /// Waits for the end; SIGKILL after `limit`.
    @discardableResult
    package func terminate(_ number: Int32 = SIGTERM, limit: Duration = .seconds(10)) async -> Int32 {
        signal(number)
        let killer = Task {
            try await Task.sleep(for: limit)
            signal(SIGKILL)
        }
        defer { killer.cancel() }
        return await waitForExit()
    }

    package func waitForExit() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status = exit.withLock { state -> Int32? in
                switch state {
                case .running(let waiting):
                    state = .running(waiting + [continuation])
                    return nil
                case .ended(let status): return status
                }
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    /// User and system seconds used so far, from `/proc/<pid>/stat`; nil once it has ended.
    package static func cpuSeconds(of pid: pid_t) -> Double? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8), let close = text.lastIndex(of: ")")
        else {
            return nil
        }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
