//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// One line of the table of the data path: a load, the brokers it is put to, and the mark it is to reach.
package struct SuiteRow: Sendable, Hashable {
    /// What is done.
    package enum Work: Sendable, Hashable {
        case produce(Produce)
        case consume(Consume)
        /// Of partitions of these sizes, rising.
        case move(bytes: [Int64])
        case failover(sessionMilliseconds: Int)
        /// Reading what only the object store holds, beside producers at the end of another topic.
        case catchUp(bytes: Int64)
        /// So many partitions in one topic, at a constant total load.
        case partitions(Int)
        /// So many idle connections beside a constant load.
        case connections(Int)
        /// A log of so many GiB, of sparse files.
        case sparseLog(gibibytes: Int)
        /// A partition that lies in so many objects.
        case objects(Int)
        /// At full speed, while the object store does not answer for a third of the time.
        case stalledStore(Produce)
        /// So many consumers that ask for all and read nothing.
        case slowConsumers(Int)
    }

    package struct Produce: Sendable, Hashable {
        package var recordBytes = 1_024
        package var batchBytes = 1_000_000
        package var partitions = 1
        package var producers = 1
        /// Requests under way per connection.
        package var inflight = 5
        /// Records per second by an open schedule; nil as fast as acknowledged.
        package var recordsPerSecond: Double?
        package var consumers = 0

        package init() {}
    }

    /// Reading what lies in the page cache.
    package struct Consume: Sendable, Hashable {
        package var recordBytes = 1_024
        /// Of the topic that is read over and over: little enough for every mode to hold it in memory.
        package var bytes: Int64 = 128 << 20

        package init() {}
    }

    /// What a figure is to be at most.
    package struct Mark: Codable, Sendable, Hashable {
        package var figure: String
        package var atMost: Double
        package var unit: String
        /// What it was compared with, for a mark that hangs on another figure.
        package var basis: String?

        package init(_ figure: String, atMost: Double, unit: String, basis: String? = nil) {
            self.figure = figure
            self.atMost = atMost
            self.unit = unit
            self.basis = basis
        }
    }

    /// As `--rows` names it.
    package var name: String
    /// As the table explains it.
    package var title: String
    package var work: Work
    package var brokers = 1
    package var replicationFactor = 1
    package var acks: Int16 = 1
    /// Counted time, if the command names none.
    package var seconds = 5.0
    /// By mode. What a mode lacks has no mark.
    package var marks: [String: [Mark]] = [:]
    /// The only modes it means something in; nil for all, and any other cluster.
    package var modes: [String]?
    /// Its response time is held against the disk's own sync.
    package var comparesWithSync = false
    /// Part of `--quick`.
    package var isQuick = false

    package init(_ name: String, _ title: String, _ work: Work) {
        self.name = name
        self.title = title
        self.work = work
    }

    package func with(_ change: (inout SuiteRow) -> Void) -> SuiteRow {
        var row = self
        change(&row)
        return row
    }
}

/// Names of a row's figures, as they stand in the result.
package enum Figure {
    package static let throughput = "throughput"
    package static let brokerCPU = "broker CPU"
    package static let loadCPU = "load generator CPU"
    package static let floor = "machine floor"
    package static let floorRatio = "broker CPU / machine floor"
    package static let isrRatio = "broker CPU / that of isr"
    package static let responseP50 = "response p50"
    package static let responseP99 = "response p99"
    package static let responseP999 = "response p999"
    package static let endToEndP50 = "end to end p50"
    package static let endToEndP99 = "end to end p99"
    package static let endToEndP999 = "end to end p999"
    package static let readCalls = "read calls"
    package static let writeCalls = "write calls"
    package static let bytesWritten = "bytes written"
    package static let voluntarySwitches = "voluntary switches"
    package static let involuntarySwitches = "involuntary switches"
    package static let resident = "resident"
    package static let residentMax = "resident at most"
    package static let allocations = "allocations"
    package static let uploaded = "uploaded"
}
