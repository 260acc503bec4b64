//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Synchronization

/// The load generator seen from outside: a process of its own, so that its CPU is told apart from the brokers'.
package final class LoadProcess: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    private struct State {
        var nextID = 1
        var waiting: [Int: CheckedContinuation<LoadAnswer.Outcome, any Error>] = [:]
        var buffer = Data()
        var hasEnded = false
    }

    package let process: ChildProcess
    private let input: FileHandle
    private let state = Mutex(State())

    /// - Parameter executable: The `ninefold` program, run with its hidden `load` command.
    package init(executable: String, logPath: String) throws {
        let input = Pipe(), output = Pipe()
        process = try ChildProcess(
            name: "load generator", executable: executable, arguments: ["load"], logPath: logPath, standardInput: input,
            standardOutput: output)
        self.input = input.fileHandleForWriting
        // A thread that reads, not a readability handler: the handle stays open for as long as anything waits on it.
        let reading = output.fileHandleForReading
        Thread.detachNewThread { [weak self] in
            while true {
                let data = reading.availableData
                self?.received(data)
                if data.isEmpty { return }
            }
        }
    }

    package func run(_ action: LoadCommand.Action, bootstrap: String) async throws -> LoadAnswer.Outcome {
        let outcome = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<LoadAnswer.Outcome, any Error>) in
            let id = state.withLock { state -> Int? in
                guard !state.hasEnded else { return nil }
                defer { state.nextID += 1 }
                state.waiting[state.nextID] = continuation
                return state.nextID
            }
            guard let id else { return continuation.resume(throwing: Failure(description: "the load generator has ended")) }
            do {
                var line = try JSONEncoder().encode(LoadCommand(id: id, bootstrap: bootstrap, action: action))
                line.append(UInt8(ascii: "\n"))
                try input.write(contentsOf: line)
            } catch {
                state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: error)
            }
        }
        if case .failed(let problem) = outcome { throw Failure(description: "load generator: \(problem)") }
        return outcome
    }

    /// Ends the process by closing its input.
    package func stop() async {
        try? input.close()
        await process.terminate(SIGTERM, limit: .seconds(5))
    }

    private func received(_ data: Data) {
        let finished = state.withLock {
            state -> [(CheckedContinuation<LoadAnswer.Outcome, any Error>, Result<LoadAnswer.Outcome, any Error>)] in
            if data.isEmpty {
                state.hasEnded = true
                defer { state.waiting = [:] }
                return state.waiting.values.map {
                    ($0, .failure(Failure(description: "the load generator ended before it had answered")))
                }
            }
            state.buffer.append(data)
            var finished: [(CheckedContinuation<LoadAnswer.Outcome, any Error>, Result<LoadAnswer.Outcome, any Error>)] = []
            while let end = state.buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = state.buffer[state.buffer.startIndex..<end]
                state.buffer.removeSubrange(state.buffer.startIndex...end)
                guard let answer = try? JSONDecoder().decode(LoadAnswer.self, from: line),
                    let continuation = state.waiting.removeValue(forKey: answer.id)
                else { continue }
                finished.append((continuation, .success(answer.outcome)))
            }
            return finished
        }
        for (continuation, result) in finished { continuation.resume(with: result) }
    }
}
