//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Dispatch
internal import Foundation

/// This program's own file, which it starts again as brokers and as load generator.
enum Executable {
    static var path: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }
}

/// Ctrl-C and SIGTERM.
enum Interrupt {
    private static let numbers = [SIGINT, SIGTERM]

    /// At the first signal: runs the clean-up, then ends the process with the exit code that says so.
    static func handle(_ cleanUp: @escaping @Sendable () -> Void) {
        for number in numbers {
            listen(to: number) {
                cleanUp()
                // At once: other threads are in the midst of their work, and must not see it taken down piece by piece.
                _exit(128 + number)
            }
        }
    }

    /// Returns at the first signal, or when the task is cancelled; a second signal ends the process at once.
    static func wait() async {
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingOldest(1))
        for number in numbers {
            listen(to: number) {
                if case .dropped = continuation.yield(number) { exit(128 + number) }
            }
        }
        for await _ in signals { break }
    }

    /// The source lives as long as the process: it is kept by its own handler.
    private static func listen(to number: Int32, _ action: @escaping @Sendable () -> Void) {
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            withExtendedLifetime(source) { action() }
        }
        source.resume()
    }
}
