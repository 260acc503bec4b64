//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import LogSegments

/// Places looked up in a segment's indexes: each tenfold of entries should add a few comparisons.
extension MicroBenchmark {
    static let indexes: [MicroBenchmark] = [10, 1_000, 100_000].flatMap { count in [offsetIndex(count), timeIndex(count)] }

    private static func offsetIndex(_ count: Int) -> MicroBenchmark {
        MicroBenchmark("index.offset.\(count)", "finds an offset's place among \(count) entries", counted: 1_000) { _, _ in
            let index = OffsetIndex(
                entries: (0..<count).map { OffsetIndex.Entry(relativeOffset: Int32($0 * 10 + 9), position: Int32($0 * 4_200)) })
            let targets = Material.scattered(1_024, below: count * 10)
            return { operations in
                for number in 0..<operations {
                    let target = targets[number & 1_023]
                    let entry = index.floor(Int64(target))
                    guard entry.relativeOffset <= Int32(target) else { throw BenchmarkFailure("\(entry) for offset \(target)") }
                    blackHole(entry)
                }
            }
        }
    }

    private static func timeIndex(_ count: Int) -> MicroBenchmark {
        MicroBenchmark("index.time.\(count)", "finds a timestamp's offset among \(count) entries", counted: 1_000) { _, _ in
            let index = TimeIndex(
                entries: (0..<count).map {
                    TimeIndex.Entry(
                        timestamp: Timestamp(Material.timestamp.rawValue + Int64($0 * 10)), relativeOffset: Int32($0 * 10 + 9))
                })
            let targets = Material.scattered(1_024, below: count * 10)
            return { operations in
                for number in 0..<operations {
                    let target = targets[number & 1_023]
                    let offset = index.offset(before: Timestamp(Material.timestamp.rawValue + Int64(target)))
                    guard offset ?? 0 <= Int32(target + 9) else { throw BenchmarkFailure("\(offset ?? -1) for \(target) ms") }
                    blackHole(offset)
                }
            }
        }
    }
}
