//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Comparison

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Names every physical copy of one record, reads each back and compares them.")

    @Option(help: "HOST:PORT of any broker.") var bootstrapServer: String
    @Option var topic: String
    @Option var partition: Int32
    @Option var offset: Int64

    func validate() throws {
        guard let colon = bootstrapServer.lastIndex(of: ":"), colon > bootstrapServer.startIndex,
            let port = Int(bootstrapServer[bootstrapServer.index(after: colon)...]), (1...65_535).contains(port)
        else { throw ValidationError("--bootstrap-server \(bootstrapServer): wants HOST:PORT") }
        guard partition >= 0, offset >= 0 else { throw ValidationError("--partition and --offset count from 0") }
    }

    func run() async throws {
        let trace: TraceRun.Trace
        do {
            trace = try await TraceRun(bootstrap: bootstrapServer, topic: topic, partition: partition, offset: offset).execute()
        } catch { throw CommandFailure("\(error)") }
        print(trace.text(topic: topic, partition: partition, offset: offset), terminator: "")
        guard trace.allEqual else {
            throw CommandFailure("\(topic)-\(partition) offset \(offset): not every copy could be confirmed")
        }
    }
}
