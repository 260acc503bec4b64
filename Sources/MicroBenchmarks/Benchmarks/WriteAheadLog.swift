//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import SharedStorage
internal import Synchronization

/// Groups that gathered while the one before was being synced: one write, one sync, then the acknowledgements.
extension MicroBenchmark {
    static let writeAheadLog: [MicroBenchmark] = [1, 64].map { count in
        MicroBenchmark(
            "wal.commit.\(count)", "commits a group of \(count) appends of one record of 1,000 bytes",
            bytes: count * Material.batch(records: 1).readableBytes, counted: 48, operationsMax: 2_048 / count + 48, uses: .disk
        ) { surroundings, operations in
            let ring = try Ring(surroundings, groups: operations, appends: count)
            return { operations in
                for _ in 0..<operations { try ring.commit() }
            }
        }
    }

    private final class Ring {
        private let log: WriteAheadLog
        private let workers = CrankedWorkers()
        private let client = Client()
        private let appends: Int
        private let body = Material.batch(records: 1)
        private var nextOffset = Offset.zero

        /// Large enough for all groups, so that nothing need be trimmed.
        init(_ surroundings: BenchmarkSurroundings, groups: Int, appends: Int) throws {
            self.appends = appends
            var settings = SharedStorageSettings()
            let groupBytes = Int64(appends * (body.readableBytes + 256) + 8_192) / 4_096 * 4_096
            settings.walCapacityBytes = max(1 << 20, groupBytes * Int64(groups + 2))
            settings.walPressureShare = 1
            var environment = surroundings.environment
            environment.workers = workers
            log = try WriteAheadLog.create(
                disk: surroundings.disk, path: "wal/ring", brokerID: BrokerID(1), epoch: BrokerEpoch(1), environment: environment,
                settings: settings, leaseHolds: { true }, pressure: {})
        }

        func commit() throws {
            for _ in 0..<appends {
                try log.enqueue(
                    WALAppend(
                        stream: StreamID(topicID: Material.topicID, partition: 0), leaderEpoch: LeaderEpoch(1),
                        offsets: nextOffset..<(nextOffset + 1), body: body, client: client))
                nextOffset = nextOffset + 1
            }
            workers.crank()
            let (durable, groups) = client.take()
            guard durable == appends, groups == 1 else {
                throw BenchmarkFailure("\(durable) of \(appends) appends became durable, in \(groups) groups")
            }
        }
    }

    private final class Client: WALClient {
        let groupMark = WALGroupMark()
        private let heard = Mutex<(durable: Int, groups: Int)>((0, 0))

        func appendDurable(_ offsets: Range<Offset>, position: Int64) { heard.withLock { $0.durable += 1 } }
        func appendFailed(_ error: LogError) {}
        func groupEnded() { heard.withLock { $0.groups += 1 } }

        func take() -> (durable: Int, groups: Int) {
            heard.withLock { heard in
                defer { heard = (0, 0) }
                return heard
            }
        }
    }
}
