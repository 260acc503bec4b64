//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Comparison

/// The load generator as a process of its own; `compare` starts it and speaks JSON lines with it.
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Load generator of compare.", shouldDisplay: false)

    func run() async throws { await runLoadProcess() }
}
