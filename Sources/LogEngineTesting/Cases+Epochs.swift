//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel

/// Leader epochs and roles (KIP-101, KIP-279, KIP-320).
extension LogEngineConformance {
    static var epochCases: [ConformanceCase] {
        [
            ConformanceCase("batches carry the leader epoch, and epochs know their ends") { bench in
                var generator = SplitMix(seed: bench.seed)
                for epoch in [Int32(1), 2, 5] {
                    let log = try await bench.open(epoch: epoch)
                    for _ in 0..<3 { try await bench.append(try Sent.batch(records: 2, using: &generator), to: log) }
                }
                let log = try unwrap(bench.engine.log(for: bench.partition()), "the log is open")
                try await demandEpochs(of: log, bench)
            },
            ConformanceCase("the fence refuses older epochs and epochs yet unknown") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open(epoch: 4)
                try await bench.append(try Sent.batch(using: &generator), to: log, epoch: LeaderEpoch(4))
                try await demandRefusal(.fencedLeaderEpoch, of: "an append with an older epoch") {
                    try await bench.append(try Sent.batch(using: &generator), to: log, epoch: LeaderEpoch(3))
                }
                try await demandRefusal(.fencedLeaderEpoch, of: "a read with an older epoch") {
                    try await bench.read(log, from: .zero, epoch: LeaderEpoch(3))
                }
                try await demandRefusal(.unknownLeaderEpoch, of: "a read with a newer epoch") {
                    try await bench.read(log, from: .zero, epoch: LeaderEpoch(5))
                }
                try demandEqual(
                    try await bench.read(log, from: .zero, epoch: LeaderEpoch(4)).count, 1, "batches read in this epoch")
                try demandEqual(log.offsets.logEnd, Offset(1), "log end after refusals")
            },
            ConformanceCase("older and repeated assignments change nothing") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open(epoch: 3)
                try await bench.append(try Sent.batch(using: &generator), to: log)
                for epoch in [Int32(3), 2, 1] {
                    let applied = try await bench.engine.apply(
                        bench.assignment(epoch: epoch), configuration: LogConfiguration.suite)
                    try demandEqual(applied?.assignment.leaderEpoch, LeaderEpoch(3), "epoch after applying \(epoch) again")
                }
                try await bench.append(try Sent.batch(using: &generator), to: log, epoch: LeaderEpoch(3))
                try demandEqual(log.offsets.logEnd, Offset(2), "log end")
            },
            ConformanceCase("who leads no longer refuses appends and consumers' reads") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                try await bench.append(try Sent.batch(records: 3, using: &generator), to: log)
                let other = BrokerID(bench.subject.brokerID.rawValue + 1)
                let moved = bench.assignment(epoch: 2, leader: other, replicas: [other])
                let held = try await bench.engine.apply(moved, configuration: LogConfiguration.suite)
                for old in [log, held].compactMap({ $0 }) {
                    try await demandRefusal(.notLeader, .fenced, .fencedLeaderEpoch, of: "an append to a log that moved away") {
                        try await bench.append(try Sent.batch(using: &generator), to: old)
                    }
                    try await demandRefusal(
                        .notLeader, .fenced, .fencedLeaderEpoch, of: "a consumer's read of a log that moved away"
                    ) {
                        try await bench.read(old, from: .zero)
                    }
                }
            },
        ]
            + [ConformanceBench.Ending.shutdown, .kill].map { ending in
                ConformanceCase("epochs are known after a restart (\(ending))") { bench in
                    var generator = SplitMix(seed: bench.seed)
                    for epoch in [Int32(1), 2, 5] {
                        let log = try await bench.open(epoch: epoch)
                        for _ in 0..<3 { try await bench.append(try Sent.batch(records: 2, using: &generator), to: log) }
                        if epoch == 2 { try await log.roll() }
                    }
                    try await bench.restart(after: ending)
                    let log = try await bench.open(epoch: 6)
                    try await demandEpochs(of: log, bench)
                    try await bench.append(try Sent.batch(using: &generator), to: log)
                    try demandEqual(log.leaderEpoch(at: Offset(18)), LeaderEpoch(6), "epoch of what was written after the restart")
                    try demandEqual(
                        try log.endOffset(forEpoch: LeaderEpoch(5)), EpochEndOffset(epoch: LeaderEpoch(5), endOffset: Offset(18)),
                        "end of epoch 5 once 6 has begun")
                }
            }
    }

    /// Of a log with three batches of two records in each of the epochs 1, 2 and 5.
    private static func demandEpochs(of log: any PartitionLog, _ bench: ConformanceBench) async throws {
        let stored = try await bench.readAll(log)
        try demandEqual(
            stored.map(\.header.partitionLeaderEpoch.rawValue), [1, 1, 1, 2, 2, 2, 5, 5, 5], "epochs in the batches' headers")
        for (asked, epoch, end) in [(Int32(1), Int32(1), Int64(6)), (2, 2, 12), (3, 2, 12), (4, 2, 12), (5, 5, 18)] {
            try demandEqual(
                try log.endOffset(forEpoch: LeaderEpoch(asked)),
                EpochEndOffset(epoch: LeaderEpoch(epoch), endOffset: Offset(end)), "end of epoch \(asked)")
        }
        for (offset, epoch) in [(Int64(0), Int32(1)), (5, 1), (6, 2), (11, 2), (12, 5), (17, 5)] {
            try demandEqual(log.leaderEpoch(at: Offset(offset)), LeaderEpoch(epoch), "epoch at offset \(offset)")
        }
    }
}
