//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Metering

/// From the counts of a run to a month of its load: every ratio is measured, the month is arithmetic.
package enum CostScaling {
    package static let hoursPerMonth = 730.0
    /// How long the priced load is kept; shown beside every cost.
    package static let retentionHours = 72

    /// nil where a count that it needs was not measured.
    package static func usage(
        of mode: ModeResult, workload: WorkloadSummary, volumeCopies: Double, objectCopies: Double, brokers: Int
    )
        -> MonthlyUsage?
    {
        guard let storage = mode.storage, storage.logicalBytes > 0, let network = mode.network, let requests = mode.requests else {
            return nil
        }
        let logicalPerSecond = workload.recordsPerSecond * Double(workload.recordBytes)
        let monthlyLogical = logicalPerSecond * 3_600 * hoursPerMonth
        let keptLogical = logicalPerSecond * 3_600 * Double(retentionHours)
        func physical(_ media: Set<String>) -> Double {
            storage.byMedium.filter { media.contains($0.medium) }.reduce(0) { $0 + $1.physicalBytes } / storage.logicalBytes
                * keptLogical
        }
        // The WAL is a ring of fixed size: it does not grow with what is kept.
        let wal = storage.byMedium.filter { ["wal", "reserved"].contains($0.medium) }.reduce(0) { $0 + $1.physicalBytes }
        func perMonth(_ count: Double?) -> Double { (count ?? 0) / storage.logicalBytes * monthlyLogical }
        return MonthlyUsage(
            volumePhysicalBytes: physical(["hotLog", "index", "metadata", "volumeOwn"]) + wal, volumeCopies: volumeCopies,
            objectPhysicalBytes: physical(["object", "garbage"]), objectCopies: objectCopies,
            writeRequests: perMonth(["put", "list", "multipart"].reduce(0) { $0 + (requests[$1] ?? 0) }),
            readRequests: perMonth(["get", "head"].reduce(0) { $0 + (requests[$1] ?? 0) }),
            crossZoneBytes: ZoneModel().crossZoneBytes(
                produced: perMonth(network[NetworkClass.produce.rawValue] ?? nil),
                consumed: perMonth(network[NetworkClass.consume.rawValue] ?? nil),
                replicated: perMonth(network[NetworkClass.replication.rawValue] ?? nil)),
            brokerHours: Double(brokers) * hoursPerMonth)
    }
}
