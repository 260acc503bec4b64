//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

extension SuiteRow {
    /// Rows that show how cost grows, and that memory does not. `isFull`: up to the sizes that take many minutes.
    package static func scale(isFull: Bool) -> [SuiteRow] {
        let partitions = [1, 10, 100, 1_000] + (isFull ? [10_000] : [])
        let objects = [30, 300] + (isFull ? [3_000, 10_000] : [])
        return partitions.map { count in
            SuiteRow("partitions-\(count)", "\(count) partitions, 20 MB/s over all", .partitions(count))
        }
            + [1, 10, 100, 1_000].map { count in
                SuiteRow("connections-\(count)", "\(count) idle connections, 20 MB/s beside them", .connections(count)).with {
                    $0.withinMemory()
                }
            }
            + [1, 10, 100].map { size in
                SuiteRow("log-\(size)gib", "a log of \(size) GiB, sparse files", .sparseLog(gibibytes: size)).with {
                    $0.modes = ["isr"]
                }
            }
            + objects.map { count in
                SuiteRow("objects-\(count)", "a partition in \(count) uploads", .objects(count)).with { $0.modes = ["shared"] }
            }
            + [
                SuiteRow("slow-consumers", "20 consumers that ask and do not read, beside a producer", .slowConsumers(20)).with {
                    $0.withinMemory()
                },
                SuiteRow("stalled-store", "1 MB batches while the object store does not answer", .stalledStore(Produce())).with {
                    $0.modes = ["tiered", "shared"]
                    $0.seconds = 12
                    $0.withinMemory()
                },
            ]
    }

    /// The budget of a broker's caches and buffers, above what it takes without any load.
    private mutating func withinMemory() {
        for mode in ["isr", "tiered", "shared"] { marks[mode] = [Mark(Figure.growth, atMost: Double(512 << 20), unit: "B")] }
    }
}

extension Figure {
    package static let startClean = "start after a stop"
    package static let startKilled = "start after a kill, its lease of 2 s included"
    package static let made = "until each new partition answers"
    package static let idleResident = "resident, idle"
    package static let perPartition = "resident per partition"
    package static let perConnection = "resident per connection"
    package static let growth = "resident at most, above idle"
    package static let longestWait = "longest response"
    package static let lookupP50 = "lookup by offset p50"
    package static let lookupP99 = "lookup by offset p99"
    package static let timeLookupP50 = "lookup by time p50"
    package static let objectCount = "objects in the store"
    package static let catchUpRate = "catch-up read"
    package static let getRate = "ranged gets"
    package static let getRatio = "ranged gets / catch-up read"
    package static let tailAlone = "tail response p99, alone"
    package static let tailBeside = "tail response p99, beside it"
    package static let tailRatio = "tail response p99, beside / alone"
}
