//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import LogEngine
internal import Metering

/// The counters in Prometheus' text format, under Kafka's exporter names where Kafka has the thing, else `ninefold_…`.
enum Prometheus {
    static func text(
        meters: Meters, leaders: Int, partitions: Int, underReplicated: Int, isController: Bool, connections: Int,
        fetchSessions: FetchSessionCounts, copies: [CopyReport], copyLag: (bytes: Int64, segments: Int64)
    ) -> String {
        var lines: [String] = []
        func metric(_ name: String, _ type: String, _ help: String, _ samples: [(String, Int64)]) {
            lines.append("# HELP \(name) \(help)")
            lines.append("# TYPE \(name) \(type)")
            for (labels, value) in samples { lines.append("\(name)\(labels) \(value)") }
        }
        metric(
            "kafka_server_brokertopicmetrics_bytesin_total", "counter", "Batch bytes acknowledged to producers",
            [("", meters.logicalBytes.value)])
        metric(
            "kafka_server_brokertopicmetrics_messagesin_total", "counter", "Records acknowledged to producers",
            [("", meters.logicalRecords.value)])
        metric(
            "kafka_server_brokertopicmetrics_bytesout_total", "counter", "Bytes answered to consumers",
            [("", meters.network[.consume]?.value ?? 0)])
        metric(
            "kafka_server_brokertopicmetrics_reassignmentbytesout_total", "counter", "Batch bytes sent because a partition moved",
            [("", meters.reassignmentBytesOut.value)])
        metric(
            "kafka_server_brokertopicmetrics_reassignmentbytesin_total", "counter",
            "Batch bytes received because a partition moved",
            [("", meters.reassignmentBytesIn.value)])
        for (name, what, meter) in [
            ("remotecopy", "copied to the tier", meters.remoteCopy), ("remotefetch", "read from the tier", meters.remoteFetch),
            ("remotedelete", "deleted from the tier", meters.remoteDelete),
        ] {
            let prefix = "kafka_server_brokertopicmetrics_\(name)"
            metric("\(prefix)bytes_total", "counter", "Bytes \(what)", [("", meter.bytes.value)])
            metric("\(prefix)requests_total", "counter", "Times that something was \(what), or tried", [("", meter.requests.value)])
            metric("\(prefix)errors_total", "counter", "Times that nothing was \(what)", [("", meter.errors.value)])
        }
        metric(
            "kafka_server_brokertopicmetrics_remotecopylagbytes", "gauge", "Bytes of sealed segments not yet in the tier",
            [("", copyLag.bytes)])
        metric(
            "kafka_server_brokertopicmetrics_remotecopylagsegments", "gauge", "Sealed segments not yet in the tier",
            [("", copyLag.segments)])
        metric("kafka_server_replicamanager_leadercount", "gauge", "Partitions led here", [("", Int64(leaders))])
        metric("kafka_server_replicamanager_partitioncount", "gauge", "Partitions held here", [("", Int64(partitions))])
        metric(
            "kafka_server_replicamanager_underreplicatedpartitions", "gauge", "Partitions led here with replicas out of sync",
            [("", Int64(underReplicated))])
        metric(
            "kafka_controller_kafkacontroller_activecontrollercount", "gauge", "1 on the controller", [("", isController ? 1 : 0)])
        metric(
            "kafka_server_socket_server_metrics_connection_count", "gauge", "Open client connections", [("", Int64(connections))])
        metric(
            "kafka_server_fetchsessioncache_numincrementalfetchsessions", "gauge", "Fetch sessions kept (KIP-227)",
            [("", fetchSessions.sessions)])
        metric(
            "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "gauge", "Partitions of all fetch sessions",
            [("", fetchSessions.partitions)])
        metric(
            "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total", "counter",
            "Fetch sessions that lost their slot to others", [("", fetchSessions.evictions)])
        let labels = copies.map { "{topic=\"\($0.topic)\",partition=\"\($0.partition)\",replica=\"\($0.replica)\"}" }
        metric(
            "ninefold_reassignment_copied_bytes_total", "counter", "Bytes copied to replicas being added to partitions led here",
            zip(labels, copies).map { ($0, $1.copiedBytes) })
        metric(
            "ninefold_reassignment_remaining_bytes", "gauge", "Bytes not yet copied to replicas being added",
            zip(labels, copies).map { ($0, $1.remainingBytes) })
        metric(
            "ninefold_network_bytes_total", "counter", "Bytes over wires by class",
            NetworkClass.allCases.map { ("{class=\"\($0.rawValue)\"}", meters.network[$0]?.value ?? 0) })
        metric(
            "ninefold_object_requests_total", "counter", "Requests sent to the object store, retries included",
            ObjectRequest.allCases.map { ("{kind=\"\($0.rawValue)\"}", meters.objectRequests[$0]?.value ?? 0) })
        metric(
            "ninefold_object_request_errors_total", "counter", "Requests to the object store that failed",
            [("", meters.objectRequestErrors.value)])
        metric(
            "ninefold_object_record_bytes_total", "counter",
            "Record bytes put into shared objects, by reason: over the bytes that came in, the write amplification of each",
            ObjectWrite.allCases.map { ("{reason=\"\($0.rawValue)\"}", meters.objectRecordBytes[$0]?.value ?? 0) })
        metric(
            "ninefold_upkeep_failures_total", "counter", "Failures of work behind the writers, which is tried again",
            UpkeepTask.allCases.map { ("{task=\"\($0.rawValue)\"}", meters.upkeepFailures[$0]?.value ?? 0) })
        metric(
            "ninefold_written_bytes_total", "counter", "Bytes handed to media, every copy counted",
            WriteClass.allCases.map { ("{class=\"\($0.rawValue)\"}", meters.bytesWritten[$0]?.value ?? 0) })
        metric(
            "ninefold_synchronizations_total", "counter", "Syncs of files to their medium", [("", meters.synchronizations.value)])
        return lines.joined(separator: "\n") + "\n"
    }
}
