//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What one producer of the load generator does.
package struct ProducerPlan: Sendable {
    package enum Pace: Sendable, Hashable {
        /// Records per second by an open-loop schedule.
        case rate(Double)
        /// As fast as acknowledged: the next batch goes out when one comes back. Ends by itself after so many batch bytes, nil for never.
        case unbounded(bytes: Int64?)
    }

    package var topic: String
    package var partitions: [Int32]
    package var recordBytes: Int
    package var compressibleTo: Double
    package var keyBytes = 0
    package var pace: Pace
    /// -1, 0 or 1.
    package var acks: Int16
    /// How long a batch waits for more records (`linger.ms`).
    package var linger: Duration = .milliseconds(1)
    /// `batch.size`.
    package var batchBytesMax = 131_072
    /// `max.in.flight.requests.per.connection`.
    package var inflightRequestsMax = 5
    /// `enable.idempotence`; only with acks=all.
    package var isIdempotent: Bool
    package var seed: UInt64
    /// `request.timeout.ms`.
    package var requestTimeout: Duration = .seconds(10)
    /// `delivery.timeout.ms`: a batch not acknowledged by then is given up and counted as an error.
    package var deliveryTimeout: Duration = .seconds(120)
    /// `retry.backoff.ms`. Short, so that what is measured after a failure is the cluster and not the client.
    package var retryBackoff: Duration = .milliseconds(20)
    /// Different payloads sent in turn.
    package var templates = 4

    package init(
        topic: String, partitions: [Int32], recordBytes: Int, compressibleTo: Double, pace: Pace, acks: Int16, seed: UInt64
    ) {
        self.topic = topic
        self.partitions = partitions
        self.recordBytes = recordBytes
        self.compressibleTo = compressibleTo
        self.pace = pace
        self.acks = acks
        self.isIdempotent = acks == -1
        self.seed = seed
    }
}

/// What a producer measured over some time.
package struct ProducerMeasure: Sendable {
    /// Records and their batch bytes acknowledged.
    package var records: Int64 = 0
    package var bytes: Int64 = 0
    /// Records given up.
    package var errors: Int64 = 0
    /// Produce requests answered.
    package var requests: Int64 = 0
    /// From the intended send to the acknowledgement.
    package var response = LatencyHistogram()
    /// From the actual send to the acknowledgement.
    package var publish = LatencyHistogram()
    /// From the intended to the actual send.
    package var delay = LatencyHistogram()

    package init() {}

    package mutating func merge(_ other: ProducerMeasure) {
        records += other.records
        bytes += other.bytes
        errors += other.errors
        requests += other.requests
        response.merge(other.response)
        publish.merge(other.publish)
        delay.merge(other.delay)
    }
}

/// The stretch of time that is counted: by intended time where a latency is recorded, by acknowledgement where records are counted.
package struct CountedWindow: Sendable, Hashable {
    package var fromNanoseconds: Int64
    package var untilNanoseconds: Int64

    package init(fromNanoseconds: Int64 = .min, untilNanoseconds: Int64 = .max) {
        self.fromNanoseconds = fromNanoseconds
        self.untilNanoseconds = untilNanoseconds
    }

    package func contains(_ nanoseconds: Int64) -> Bool { nanoseconds >= fromNanoseconds && nanoseconds < untilNanoseconds }
}

extension DueRecords {
    /// Those meant to be sent in `window`; nil for none.
    package func within(_ window: CountedWindow) -> DueRecords? {
        var records = self
        if records.intendedNanoseconds < window.fromNanoseconds {
            let early = Double(window.fromNanoseconds - records.intendedNanoseconds)
            guard intervalNanoseconds > 0, early / intervalNanoseconds < Double(count) else { return nil }
            records = records.dropFirst(Int((early / intervalNanoseconds).rounded(.up)))
        }
        if records.count > 0, records.intended(records.count - 1) >= window.untilNanoseconds {
            guard records.intendedNanoseconds < window.untilNanoseconds else { return nil }
            records.count = Int((Double(window.untilNanoseconds - records.intendedNanoseconds) / intervalNanoseconds).rounded(.up))
        }
        return records.count > 0 ? records : nil
    }
}
