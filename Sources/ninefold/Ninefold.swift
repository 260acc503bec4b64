//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Comparison
internal import Foundation
internal import Glibc

@main
struct Ninefold: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "ninefold",
        abstract: "A Kafka-compatible broker with three storage engines, and the comparison between them.",
        discussion: """
            One flag, storage.mode, chooses where the log keeps its bytes: isr (three replicas), tiered (replicas, then an object
            store) or shared (a write-ahead log, then an object store).
            """,
        version: version,
        subcommands: [
            CompareCommand.self, DevCommand.self, ServeCommand.self, BenchCommand.self, TraceCommand.self, CostCommand.self,
            ReportCommand.self, AuditCommand.self, ImportCommand.self, LoadCommand.self,
        ])

    /// Every failure ends here: one line on standard error, exit code 1; usage errors are ArgumentParser's, exit code 64.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            ChildProcesses.killAll()
            complain(failure.description)
            Glibc.exit(1)
        } catch {
            ChildProcesses.killAll()
            if Self.exitCode(for: error) == .failure, !(error is ValidationError) {
                complain("\(error)")
                Glibc.exit(1)
            }
            exit(withError: error)
        }
    }

    private static func complain(_ problem: String) {
        FileHandle.standardError.write(Data("ninefold: \(problem)\n".utf8))
    }
}

/// A failed run, in one line: what, where, what to do.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
