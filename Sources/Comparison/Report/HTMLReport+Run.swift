//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// How the run was made, and what the words mean.
extension HTMLReport {
    var environmentTable: String {
        let environment = result.environment
        let workload = result.workload
        let volume =
            result.volume.basis == "measured"
            ? "\(Format.tidy(Format.ratio(result.volume.copies))) copies (measured)" : "copies not measured"
        let backing = result.volume.backing.isEmpty ? "" : ", bytes counted in \(result.volume.backing.joined(separator: ", "))"
        var rows: [[String]] = [
            ["command", environment.commandLine.joined(separator: " ")],
            ["machine", "\(environment.cpu), \(environment.cores) cores, \(Format.bytes(Double(environment.memoryBytes)))"],
            ["system", "\(environment.operatingSystem), kernel \(environment.kernel)"],
            ["disk", "\(environment.disk), \(environment.fileSystem), \(environment.dataDirectory)"],
            [
                "load",
                "\(workload.name): \(Format.number(workload.recordsPerSecond)) records/s of \(workload.recordBytes) B, compressible to \(Format.ratio(workload.compressibleTo)), \(workload.partitions) partitions, RF \(workload.replicationFactor), min ISR \(workload.minInSyncReplicas), acks=\(workload.acks), \(workload.producers) producers, \(workload.consumers) consumers, seed \(workload.seed)",
            ],
            [
                "brokers",
                "\(result.settings.brokers) processes, session timeout \(Format.tidy(Format.seconds(result.settings.sessionTimeoutSeconds)))",
            ],
            ["volume", "\(result.volume.spec), \(result.volume.fileSystem.map { "\($0), " } ?? "")\(volume)\(backing)"],
            [
                "object store",
                "\(result.objectStore.url), \(Format.tidy(Format.ratio(result.objectStore.copies))) copies (\(result.objectStore.basis))",
            ],
            ["scenarios", result.settings.scenarios.joined(separator: ", ") + (result.settings.quick ? " (quick)" : "")],
            ["remark", environment.remark],
        ]
        for (mode, properties) in result.settings.properties.sorted(by: { $0.key < $1.key }) {
            rows.append([
                "\(mode) settings", properties.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", "),
            ])
        }
        let body = rows.map { "<tr><th class=\"text\">\(escape($0[0]))</th><td class=\"text\">\(escape($0[1]))</td></tr>" }
        return "<table class=\"run\"><tbody>\(body.joined(separator: "\n"))</tbody></table>"
    }

    var words: String {
        let entries = [
            ("logical bytes", "bytes of the record batches acknowledged to producers, as sent"),
            ("copies", "bytes of record data on media (hot log, live WAL, objects, garbage) per logical byte, every copy counted"),
            (
                "overhead",
                "physical bytes that are not record data, per logical byte: indexes, metadata, rounding to blocks; space reserved for write-ahead logs is told apart, as it does not grow"
            ),
            ("written to media", "bytes handed to media for writing per logical byte: write amplification"),
            (
                "over wires",
                "bytes of produce, consume and replication, of the volume's own copies, and to and from the object store, per logical byte"
            ),
            ("response time", "from the intended send to the acknowledgement"),
            ("time of a move", "from the request's acceptance until it is listed no more and the new leader has served a produce"),
            (
                "client gap",
                "longest time without an acknowledgement that a steady producer of the moving partition saw, less its normal interval"
            ),
            ("failover time", "from the death of the leader to the first acknowledged produce at its successor"),
            ("MB, GB", "10⁶ and 10⁹ bytes; GiB is 2³⁰"),
        ]
        return "<dl>" + entries.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" }.joined() + "</dl>"
    }
}
