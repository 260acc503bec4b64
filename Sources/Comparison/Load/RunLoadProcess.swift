//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Dispatch
package import Foundation
internal import NIOCore
internal import NIOPosix
internal import RuntimeEnvironment
internal import Synchronization

/// What the hidden `ninefold load` command runs: reads ``LoadCommand``s, carries them out side by side, writes ``LoadAnswer``s.
///
/// One JSON object per line both ways. What goes on is told on `progress` as plain text. Returns at the end of the input, when all
/// connections are closed.
package func runLoadProcess(
    input: FileHandle = .standardInput, output: FileHandle = .standardOutput, progress: FileHandle = .standardError
) async {
    let told = LineWriter(progress)
    let answers = LineWriter(output)
    await LoadGenerator.withOwnLoops(progress: { told.write(Data("load: \($0)".utf8)) }) { generator in
        await withDiscardingTaskGroup { tasks in
            for await line in lines(of: input) {
                tasks.addTask {
                    let answer = await generator.answer(line)
                    if let bytes = try? JSONEncoder().encode(answer) { answers.write(bytes) }
                }
            }
            // Whoever spoke to us has gone: nobody waits for what is still under way.
            await generator.close()
            tasks.cancelAll()
        }
    }
}

extension LoadGenerator {
    /// Calls `body` with a generator that has the machine's clock and event loops of its own, which end with it.
    static func withOwnLoops<Value, Failure: Error>(
        progress: @escaping @Sendable (String) -> Void, _ body: (LoadGenerator) async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: min(2, System.coreCount))
        let generator = LoadGenerator(group: group, clock: SystemClock(), randomness: SystemRandomSource(), progress: progress)
        do throws(Failure) {
            let value = try await body(generator)
            await generator.close()
            try? await group.shutdownGracefully()
            return value
        } catch {
            await generator.close()
            try? await group.shutdownGracefully()
            throw error
        }
    }
}

/// Writes whole lines from any thread.
private final class LineWriter: Sendable {
    private let handle: Mutex<FileHandle>

    init(_ handle: sending FileHandle) { self.handle = Mutex(handle) }

    func write(_ line: Data) {
        // If the reader has gone, the end of our input will tell.
        handle.withLock { try? $0.write(contentsOf: line + [UInt8(ascii: "\n")]) }
    }
}

/// The lines of `handle`, read on a thread of their own, until its end.
private func lines(of handle: FileHandle) -> AsyncStream<Data> {
    AsyncStream { continuation in
        DispatchQueue(label: "load-input").async {
            var buffer = Data()
            while true {
                let data = handle.availableData
                if data.isEmpty { break }
                buffer.append(data)
                while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                    continuation.yield(Data(buffer[buffer.startIndex..<end]))
                    buffer.removeSubrange(buffer.startIndex...end)
                }
            }
            continuation.finish()
        }
    }
}

extension LoadGenerator {
    /// Carries out one line of input. A line that is no command is answered with id 0.
    package func answer(_ line: Data) async -> LoadAnswer {
        let command: LoadCommand
        do { command = try JSONDecoder().decode(LoadCommand.self, from: line) } catch {
            return LoadAnswer(id: 0, outcome: .failed("not a load command: \(String(decoding: line.prefix(200), as: UTF8.self))"))
        }
        return LoadAnswer(id: command.id, outcome: await perform(command))
    }

    package func perform(_ command: LoadCommand) async -> LoadAnswer.Outcome {
        do {
            switch command.action {
            case .steady(let load): return .steady(try await steady(load, bootstrap: command.bootstrap))
            case .fill(let load): return .fill(try await fill(load, bootstrap: command.bootstrap))
            case .startProbe(let load):
                try await startProbe(load, bootstrap: command.bootstrap)
                return .probeStarted
            case .stopProbe(let name): return .probe(try await stopProbe(name: name))
            case .verify(let topic): return .verify(try await verify(topic: topic, bootstrap: command.bootstrap))
            }
        } catch {
            return .failed("\(error)".replacing("\n", with: " "))
        }
    }
}
