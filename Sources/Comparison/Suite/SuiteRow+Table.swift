//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

extension SuiteRow {
    /// The table: every row of the data path.
    package static let table: [SuiteRow] = producing + trickling

    private static func produce(_ name: String, _ title: String, _ change: (inout Produce) -> Void) -> SuiteRow {
        var work = Produce()
        change(&work)
        return SuiteRow(name, title, .produce(work)).with { $0.isQuick = true }
    }

    /// isr's mark; tiered's is 25 % above what isr takes in the same run, and set there.
    private static func cpu(_ isr: Double, shared: Double? = nil) -> [String: [Mark]] {
        var marks = ["isr": [Mark(Figure.brokerCPU, atMost: isr, unit: MachineLimits.cpuUnit)]]
        marks["tiered"] = [Mark(Figure.isrRatio, atMost: 1.25, unit: "×")]
        if let shared { marks["shared"] = [Mark(Figure.brokerCPU, atMost: shared, unit: MachineLimits.cpuUnit)] }
        return marks
    }

    private static let producing = [
        produce("produce-1mb", "1 KB records, 1 MB batches, acks=1") { _ in }.with { $0.marks = cpu(0.5, shared: 1.2) },
        produce("produce-16kb", "1 KB records, 16 KB batches, 6 partitions, acks=1") {
            $0.batchBytes = 16_384
            $0.partitions = 6
        }.with { $0.marks = cpu(1.5) },
        produce("produce-100b", "100 B records, 1 MB batches, acks=1") { $0.recordBytes = 100 }
            .with { $0.marks = cpu(0.6, shared: 1.2) },
        produce("replicate-1mb", "3 brokers, RF 3, acks=all, 1 MB batches") { _ in }.with {
            $0.replicate()
            $0.marks = cpu(2.0, shared: 1.2)
        },
        produce("replicate-16kb", "3 brokers, RF 3, acks=all, 16 KB, 6 partitions") {
            $0.batchBytes = 16_384
            $0.partitions = 6
        }.with {
            $0.replicate()
            $0.marks = cpu(6)
        },
    ]

    private mutating func replicate() {
        brokers = 3
        replicationFactor = 3
        acks = -1
    }

    /// One record under way at a time, seen by a consumer.
    private static func single(_ name: String, _ title: String) -> SuiteRow {
        var work = Produce()
        // Room for one record and not for two.
        work.batchBytes = work.recordBytes + 100
        work.inflight = 1
        work.consumers = 1
        return SuiteRow(name, title, .produce(work))
    }

    private static let trickling = [
        single("one-in-flight", "one record in flight, acks=1").with {
            $0.marks = ["isr": [Mark(Figure.endToEndP99, atMost: 0.002, unit: "s")]]
        },
        single("one-in-flight-replicated", "one record in flight, 3 brokers, RF 3, acks=all").with {
            $0.replicate()
            $0.marks = ["isr": [Mark(Figure.endToEndP99, atMost: 0.004, unit: "s")]]
        },
    ]
}
