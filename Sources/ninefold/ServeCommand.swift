//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Foundation
internal import Metering

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "serve", abstract: "Runs one broker.")

    @Option(help: "server.properties") var config: String
    @Option(help: "Settings over those of the file: KEY=VALUE; may be repeated.", transform: { $0 }) var override: [String] = []
    @Option(help: ArgumentHelp("Written once the broker serves, with its ports.", visibility: .hidden)) var readyFile: String?

    func run() async throws {
        let settings = try BrokerSettings.read(config, overrides: override)
        let node: Node
        do {
            node = try await Node.start(settings: settings)
        } catch {
            throw CommandFailure("\(config): \(error)")
        }
        if let readyFile {
            let ready = ReadyFile(
                nodeID: node.nodeID, host: node.host, port: node.port, metricsPort: node.metricsPort ?? 0)
            try JSONEncoder().encode(ready).write(to: URL(fileURLWithPath: readyFile), options: .atomic)
        }
        print("ninefold: broker \(node.nodeID) serves \(node.host):\(node.port), storage.mode=\(node.configuration.storageMode)")
        fflush(nil)
        // Whichever comes first; the other is not waited for.
        let (ends, end) = AsyncStream.makeStream(of: String?.self)
        Task { end.yield(await node.waitUntilFailed()) }
        Task {
            await Interrupt.wait()
            end.yield(nil)
        }
        var failure: String?
        for await reason in ends {
            failure = reason
            break
        }
        await node.stop()
        if let failure { throw CommandFailure(failure) }
    }
}
