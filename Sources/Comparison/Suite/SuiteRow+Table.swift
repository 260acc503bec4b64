//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

extension SuiteRow {
    /// The table: every row of the data path.
    package static let table: [SuiteRow] = producing + [consuming] + trickling + [syncing, catchingUp] + moving

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
        // At full speed uploads fall behind on two cores; here all that is written is uploaded meanwhile.
        produce("offload", "1 KB records, 1 MB batches, 200 MB/s, acks=1: uploads keep up") { $0.recordsPerSecond = 200_000 }.with {
            $0.isQuick = false
            $0.modes = ["isr", "tiered"]
            $0.marks["tiered"] = cpu(0)["tiered"]
        },
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

    private static let consuming = SuiteRow("consume", "consume 1 KB records from the page cache", .consume(Consume())).with {
        $0.marks = ["isr", "tiered", "shared"].reduce(into: [:]) {
            $0[$1] = [Mark(Figure.brokerCPU, atMost: 0.25, unit: MachineLimits.cpuUnit)]
        }
    }

    private static let syncing: SuiteRow = {
        var work = Produce()
        work.recordsPerSecond = 10_000
        work.batchBytes = 131_072
        return SuiteRow("shared-10k", "10,000 records/s of 1 KB, acks=all, synced before the ack", .produce(work)).with {
            $0.acks = -1
            $0.modes = ["shared"]
            $0.comparesWithSync = true
            $0.marks = ["shared": [Mark(Figure.aboveSync, atMost: 0.002, unit: "s")]]
        }
    }()

    private static let catchingUp = SuiteRow(
        "catch-up", "read from the object store, beside producers of another topic", .catchUp(bytes: 1 << 30)
    )
    .with {
        $0.modes = ["shared"]
        // Below, since every mark says at most: the loop's time is 80 % of the catch-up's or more.
        $0.marks = [
            "shared": [
                Mark(Figure.getRatio, atMost: 1 / 0.8, unit: "×"), Mark(Figure.tailRatio, atMost: 2, unit: "×"),
            ]
        ]
    }

    private static let moving = [
        SuiteRow("move", "move of a partition under a slow producer, 3 sizes", .move(bytes: movedBytes)).with {
            $0.replicate()
            // isr's marks are a line, 0.1 s + 1.5 s per GiB; shared's are the same for every size.
            $0.marks["isr"] = movedBytes.map {
                Mark(Figure.move(bytes: $0), atMost: 0.1 + 1.5 * Double($0) / Double(1 << 30), unit: "s")
            }
            $0.marks["isr"]!.append(Mark(Figure.clientGap, atMost: 0.05, unit: "s"))
            $0.marks["shared"] = movedBytes.map { Mark(Figure.move(bytes: $0), atMost: 0.1, unit: "s") }
            $0.marks["shared"]!.append(Mark(Figure.clientGap, atMost: 0.05, unit: "s"))
            $0.marks["tiered"] = [Mark(Figure.clientGap, atMost: 0.05, unit: "s")]
        },
        failover("failover", "leader killed, session timeout 3 s", seconds: 3),
        failover("failover-default", "leader killed, session timeout 9 s (the default)", seconds: 9),
    ]

    private static let movedBytes: [Int64] = [64 << 20, 256 << 20, 1 << 30]

    private static func failover(_ name: String, _ title: String, seconds: Double) -> SuiteRow {
        SuiteRow(name, title, .failover(sessionMilliseconds: Int(seconds * 1_000))).with {
            $0.replicate()
            for mode in ["isr", "tiered", "shared"] {
                $0.marks[mode] = [
                    Mark(Figure.firstAck, atMost: seconds + 0.3, unit: "s"), Mark(Figure.lost, atMost: 0, unit: "records"),
                ]
            }
        }
    }
}
