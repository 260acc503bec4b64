//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What the load process is told, one JSON object per line on its standard input; each is answered by one ``LoadAnswer`` line with
/// the same id on its standard output, in the order they finish. End of input ends the process.
///
/// Every record carries (producer, partition, sequence) and a checksum in its value, so that ``LoadCommand/Action/verify(_:)`` can
/// tell what of the acknowledged was lost, repeated or reordered.
package struct LoadCommand: Codable, Sendable, Hashable {
    package enum Action: Codable, Sendable, Hashable {
        /// A fixed rate on all partitions of a topic, produced and consumed; answered when it is over.
        case steady(SteadyLoad)
        /// As fast as acknowledged, into one partition; answered when the bytes are acknowledged.
        case fill(FillLoad)
        /// Begins a steady producer whose acknowledgements are watched for gaps; answered at its first acknowledgement.
        case startProbe(ProbeLoad)
        /// Ends a probe; answered with what it saw.
        case stopProbe(name: String)
        /// Reads a topic from its start and compares it with everything this process had acknowledged there.
        case verify(topic: String)
    }

    package var id: Int
    package var bootstrap: String
    package var action: Action

    package init(id: Int, bootstrap: String, action: Action) {
        self.id = id
        self.bootstrap = bootstrap
        self.action = action
    }
}

package struct SteadyLoad: Codable, Sendable, Hashable {
    package var topic: String
    package var recordBytes: Int
    /// Compressed ÷ plain size the payload is made for, 0 ... 1.
    package var compressibleTo: Double
    /// Over all producers.
    package var recordsPerSecond: Double
    package var producers: Int
    package var consumers: Int
    /// Not counted.
    package var warmupSeconds: Double
    package var seconds: Double
    /// -1, 0 or 1.
    package var acks: Int16
    package var seed: UInt64

    package init(
        topic: String, recordBytes: Int, compressibleTo: Double, recordsPerSecond: Double, producers: Int, consumers: Int,
        warmupSeconds: Double, seconds: Double, acks: Int16, seed: UInt64
    ) {
        self.topic = topic
        self.recordBytes = recordBytes
        self.compressibleTo = compressibleTo
        self.recordsPerSecond = recordsPerSecond
        self.producers = producers
        self.consumers = consumers
        self.warmupSeconds = warmupSeconds
        self.seconds = seconds
        self.acks = acks
        self.seed = seed
    }
}

package struct FillLoad: Codable, Sendable, Hashable {
    package var topic: String
    package var partition: Int32
    /// Batch bytes to be acknowledged.
    package var bytes: Int64
    package var recordBytes: Int
    package var compressibleTo: Double
    package var acks: Int16
    package var seed: UInt64

    package init(
        topic: String, partition: Int32, bytes: Int64, recordBytes: Int, compressibleTo: Double, acks: Int16, seed: UInt64
    ) {
        self.topic = topic
        self.partition = partition
        self.bytes = bytes
        self.recordBytes = recordBytes
        self.compressibleTo = compressibleTo
        self.acks = acks
        self.seed = seed
    }
}

package struct ProbeLoad: Codable, Sendable, Hashable {
    package var name: String
    package var topic: String
    /// nil: all partitions in turn.
    package var partition: Int32?
    package var recordsPerSecond: Double
    package var recordBytes: Int
    package var compressibleTo: Double
    package var acks: Int16
    package var seed: UInt64

    package init(
        name: String, topic: String, partition: Int32?, recordsPerSecond: Double, recordBytes: Int, compressibleTo: Double,
        acks: Int16, seed: UInt64
    ) {
        self.name = name
        self.topic = topic
        self.partition = partition
        self.recordsPerSecond = recordsPerSecond
        self.recordBytes = recordBytes
        self.compressibleTo = compressibleTo
        self.acks = acks
        self.seed = seed
    }
}

package struct LoadAnswer: Codable, Sendable, Hashable {
    package enum Outcome: Codable, Sendable, Hashable {
        case steady(SteadyOutcome)
        case fill(FillOutcome)
        case probeStarted
        case probe(ProbeOutcome)
        case verify(VerifyOutcome)
        /// One line: what, where.
        case failed(String)
    }

    package var id: Int
    package var outcome: Outcome

    package init(id: Int, outcome: Outcome) {
        self.id = id
        self.outcome = outcome
    }
}

package struct SteadyOutcome: Codable, Sendable, Hashable {
    package var records: Int64
    /// Batch bytes acknowledged.
    package var bytes: Int64
    package var seconds: Double
    package var recordsConsumed: Int64
    package var errors: Int64
    package var responseSeconds: Percentiles
    package var endToEndSeconds: Percentiles?
    /// (quantile 0 ... 1, seconds), rising.
    package var responseCurve: [[Double]]
    /// User and system seconds of the load process over the counted time.
    package var loadCPUSeconds: Double

    package init(
        records: Int64, bytes: Int64, seconds: Double, recordsConsumed: Int64, errors: Int64, responseSeconds: Percentiles,
        endToEndSeconds: Percentiles?, responseCurve: [[Double]], loadCPUSeconds: Double
    ) {
        self.records = records
        self.bytes = bytes
        self.seconds = seconds
        self.recordsConsumed = recordsConsumed
        self.errors = errors
        self.responseSeconds = responseSeconds
        self.endToEndSeconds = endToEndSeconds
        self.responseCurve = responseCurve
        self.loadCPUSeconds = loadCPUSeconds
    }
}

package struct FillOutcome: Codable, Sendable, Hashable {
    package var records: Int64
    package var bytes: Int64
    package var seconds: Double

    package init(records: Int64, bytes: Int64, seconds: Double) {
        self.records = records
        self.bytes = bytes
        self.seconds = seconds
    }
}

package struct ProbeOutcome: Codable, Sendable, Hashable {
    /// A stretch without an acknowledgement of one partition: from one acknowledgement to the next.
    package struct Gap: Codable, Sendable, Hashable {
        package var partition: Int32
        /// Monotonic clock of the machine, as `Clock.now()`.
        package var fromNanoseconds: Int64
        package var untilNanoseconds: Int64
        /// The probe ended before the next acknowledgement came: the gap is at least this long.
        package var isOpen: Bool

        package init(partition: Int32, fromNanoseconds: Int64, untilNanoseconds: Int64, isOpen: Bool = false) {
            self.partition = partition
            self.fromNanoseconds = fromNanoseconds
            self.untilNanoseconds = untilNanoseconds
            self.isOpen = isOpen
        }
    }

    package var acknowledged: Int64
    package var errors: Int64
    /// Seconds between acknowledgements when nothing is wrong.
    package var normalIntervalSeconds: Double
    /// The longest ten per partition, longest first.
    package var gaps: [Gap]
    /// The last failure the probe met, if it met any.
    package var lastFailure: String?

    package init(
        acknowledged: Int64, errors: Int64, normalIntervalSeconds: Double, gaps: [Gap], lastFailure: String? = nil
    ) {
        self.acknowledged = acknowledged
        self.errors = errors
        self.normalIntervalSeconds = normalIntervalSeconds
        self.gaps = gaps
        self.lastFailure = lastFailure
    }

    /// The longest gap less the normal interval.
    package var longestGapSeconds: Double? {
        gaps.map { Double($0.untilNanoseconds - $0.fromNanoseconds) / 1e9 }.max().map { max(0, $0 - normalIntervalSeconds) }
    }
}

package struct VerifyOutcome: Codable, Sendable, Hashable {
    package var acknowledged: Int64
    package var read: Int64
    /// Acknowledged and not found.
    package var lost: Int64
    /// Found more than once.
    package var duplicated: Int64
    /// Found before an earlier one of the same producer and partition.
    package var reordered: Int64
    /// Value differs from what was sent.
    package var damaged: Int64

    package init(acknowledged: Int64, read: Int64, lost: Int64, duplicated: Int64, reordered: Int64, damaged: Int64) {
        self.acknowledged = acknowledged
        self.read = read
        self.lost = lost
        self.duplicated = duplicated
        self.reordered = reordered
        self.damaged = damaged
    }
}
