//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Bytes of one medium, as a node's `/v1/footprint` tells them.
package struct FootprintReport: Codable, Sendable, Hashable {
    /// Allocated on media, all countable copies included.
    package var physicalBytes: Int64
    /// Of these, record batches.
    package var recordBytes: Int64
    /// Files or objects.
    package var count: Int64
    /// `measured` or `declared`.
    package var basis: String

    package init(physicalBytes: Int64 = 0, recordBytes: Int64 = 0, count: Int64 = 0, basis: String = "measured") {
        self.physicalBytes = physicalBytes
        self.recordBytes = recordBytes
        self.count = count
        self.basis = basis
    }

    package mutating func add(_ other: FootprintReport) {
        physicalBytes += other.physicalBytes
        recordBytes += other.recordBytes
        count += other.count
        if other.basis == "declared" { basis = "declared" }
    }
}

/// Written by a node once it serves, for whoever started it on ports of the system's choice.
package struct ReadyFile: Codable, Sendable, Hashable {
    package var nodeID: Int32
    package var host: String
    package var port: Int
    package var metricsPort: Int

    package init(nodeID: Int32, host: String, port: Int, metricsPort: Int) {
        self.nodeID = nodeID
        self.host = host
        self.port = port
        self.metricsPort = metricsPort
    }
}
