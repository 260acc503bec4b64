//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Foundation

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Holds the objects of a cluster against its metadata, both ways.",
        discussion: """
            Lists orphans (objects that no metadata name, older than the grace and not of an upload under way), missing objects (by
            topic, partition and offsets) and objects of another size than the metadata say. The cluster may go on meanwhile.
            Exit code 0 when nothing was found, 1 when something was, removed or not.
            """)

    @Option(help: "The cluster's metadata.store.url, as sqlite:///FILE.") var metadataStore: String
    @Option(help: "The cluster's object.store.url.") var objectStore: String
    @Flag(help: "Remove orphans. Nothing else is changed.") var repair = false
    @Option(help: "Seconds that an unknown object is left alone.") var grace = 3_600.0
    @Option(help: "table or json, on standard output.") var format = "table"

    func validate() throws {
        guard ["table", "json"].contains(format) else { throw ValidationError("--format \(format): allowed are table and json") }
        guard grace >= 0, grace <= 1e9 else { throw ValidationError("--grace \(grace): seconds, from 0") }
        do { try BrokerConfiguration.checkObjectStoreURL(objectStore) } catch { throw ValidationError("--object-store: \(error)") }
    }

    func run() async throws {
        let audit: ClusterAudit
        do {
            audit = try await ObjectAuditTool.run(
                metadataStoreURL: metadataStore, objectStoreURL: objectStore, repairs: repair,
                grace: .milliseconds(Int64(grace * 1_000)))
        } catch { throw CommandFailure("\(error)") }
        if format == "json" {
            FileHandle.standardOutput.write(try audit.encoded())
            print()
        } else {
            print(audit.table)
        }
        if !audit.findings.isEmpty { throw ExitCode(1) }
    }
}
