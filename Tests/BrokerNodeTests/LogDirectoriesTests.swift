//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import KafkaProtocol
import LogEngine
import LogModel
import Testing

/// Brokers with several log directories (`log.dirs`).
@Suite(.serialized) struct LogDirectoriesTests {
    private func with(_ mode: String = "isr", _ body: (NodeCluster) async throws -> Void) async throws {
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-dirs-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: base) }
        try await NodeCluster.with(mode, settingsOf: { ["log.dirs": "\(base)/\($0)/a,\(base)/\($0)/b"] }, body)
    }

    private func directories(_ cluster: NodeCluster, of broker: Int32) async throws -> [DescribeLogDirsResponse
        .DescribeLogDirsResult]
    {
        // What lies in the object store is told of too, under the store's name.
        try await cluster.client.describeLogDirectories(of: BrokerID(broker)).filter { $0.logDir.hasPrefix("/") }
    }

    @Test func partitionsAreSpreadAndToldByDirectoryAndFoundAfterARestart() async throws {
        try await with { cluster in
            try await cluster.client.createTopic("t", partitions: 6, replicationFactor: 3)
            _ = try await cluster.client.waitForLeaders(of: ["t": 6])
            for partition in Int32(0)..<6 { try await cluster.produce("t", partition: partition) }
            for round in 0..<2 {
                for broker in Int32(1)...3 {
                    let told = try await directories(cluster, of: broker)
                    #expect(
                        told.map { $0.logDir.hasSuffix("/\(broker)/a") || $0.logDir.hasSuffix("/\(broker)/b") } == [true, true])
                    for directory in told {
                        #expect(directory.errorCode == .none && directory.totalBytes > 0)
                        #expect(directory.topics.flatMap(\.partitions).count == 3)
                        #expect(cluster.partitionDirectories(of: "t", under: directory.logDir).count == 3)
                    }
                }
                guard round == 0 else { break }
                await cluster.stop(2)
                try await cluster.start(2)
                // It listens elsewhere now.
                #expect(
                    try await NodeCluster.eventually {
                        try await cluster.client.refresh(topics: ["t"]).brokers[BrokerID(2)]?.port == cluster.node(2).port
                    })
                #expect(
                    await NodeCluster.eventually {
                        (Int32(0)..<6).allSatisfy {
                            cluster.node(2).log(topic: "t", partition: $0)?.offsets.highWatermark == Offset(1)
                        }
                    })
            }
        }
    }

    @Test func aBrokerStartsWithoutADeadDirectoryAndMakesNothingOfItAnew() async throws {
        try await with { cluster in
            let client = cluster.client
            try await client.createTopic("t", partitions: 6, replicationFactor: 3)
            _ = try await client.waitForLeaders(of: ["t": 6])
            for partition in Int32(0)..<6 { try await cluster.produce("t", partition: partition) }
            let paths = try await directories(cluster, of: 1).map(\.logDir)
            let lost = cluster.partitionDirectories(of: "t", under: paths[1])
            #expect(lost.count == 3)
            await cluster.stop(1)
            // As when a disk comes up as something else.
            try FileManager.default.moveItem(atPath: paths[1], toPath: paths[1] + "-away")
            #expect(FileManager.default.createFile(atPath: paths[1], contents: nil))
            for round in 0..<2 {
                try await startAgain(cluster, 1)
                #expect(cluster.node(1).isServing)
                let told = try await directories(cluster, of: 1)
                #expect(told.map(\.errorCode) == [.none, .kafkaStorageError])
                #expect(told.map { $0.topics.filter { $0.name == "t" }.flatMap(\.partitions).count } == [3, 0])
                for partition in Int32(0)..<6 { try await cluster.produce("t", partition: partition) }
                #expect(try await members(cluster) { lost.contains("t-\($0)") ? 2 : 3 })
                #expect(cluster.partitionDirectories(of: "t", under: paths[0]).count == 3)
                // A topic made meanwhile has its place.
                try await client.createTopic("new\(round)", partitions: 2, replicationFactor: 3)
                _ = try await client.waitForLeaders(of: ["new\(round)": 2])
                #expect(await NodeCluster.eventually { cluster.node(1).log(topic: "new\(round)", partition: 1) != nil })
                await cluster.stop(1)
            }
            // Neither can be used.
            try FileManager.default.moveItem(atPath: paths[0], toPath: paths[0] + "-away")
            #expect(FileManager.default.createFile(atPath: paths[0], contents: nil))
            let refusal = await #expect(throws: (any Error).self) { try await cluster.start(1) }
            #expect(paths.allSatisfy { "\(refusal!)".contains($0) })
            for path in paths {
                try FileManager.default.removeItem(atPath: path)
                try FileManager.default.moveItem(atPath: path + "-away", toPath: path)
            }
            try await startAgain(cluster, 1)
            #expect(try await members(cluster) { _ in 3 })
            #expect(cluster.partitionDirectories(of: "t", under: paths[1]) == lost)
            for partition in Int32(0)..<6 { #expect(try await cluster.produce("t", partition: partition) == 3) }
        }
    }

    /// It listens elsewhere then.
    private func startAgain(_ cluster: NodeCluster, _ id: Int) async throws {
        try await cluster.start(id)
        #expect(
            try await NodeCluster.eventually {
                try await cluster.client.refresh(topics: ["t"]).brokers[BrokerID(Int32(id))]?.port == cluster.node(id).port
            })
    }

    /// Whether each partition of `t` comes to have so many replicas in sync.
    private func members(_ cluster: NodeCluster, _ count: (Int32) -> Int) async throws -> Bool {
        try await NodeCluster.eventually {
            for partition in Int32(0)..<6 {
                guard let leader = try await cluster.leader("t", partition),
                    cluster.node(Int(leader)).log(topic: "t", partition: partition)?.assignment.inSyncReplicas.count
                        == count(partition)
                else { return false }
            }
            return true
        }
    }

    /// Others lead as soon as it has said so, long before its session would end.
    @Test(arguments: ["isr", "tiered"]) func aBrokerWhoseLastDirectoryFailsEndsAndSaysWhy(_ mode: String) async throws {
        try await NodeCluster.with(mode, overrides: ["broker.session.timeout.ms": "600000"]) { cluster in
            let client = cluster.client
            try await client.createTopic("t", partitions: 3, replicationFactor: 3, configuration: ["segment.bytes": "16384"])
            _ = try await client.waitForLeaders(of: ["t": 3])
            var next: [Int32: Int64] = [0: 0, 1: 0, 2: 0]
            func produce(_ rounds: Int) async throws {
                for _ in 0..<rounds {
                    for partition in Int32(0)..<3 {
                        #expect(try await cluster.produce("t", partition: partition, bytes: 1_000) == next[partition])
                        next[partition]! += 1
                    }
                }
            }
            try await produce(3)
            let path = try #require(try await directories(cluster, of: 1).first?.logDir)
            try FileManager.default.removeItem(atPath: path)
            try await produce(40)
            let reason = try #require(await cluster.node(1).waitUntilFailed())
            #expect(reason.contains("no log directory is left") && reason.contains("broker 1"))
            #expect(!cluster.node(1).isServing)
            for partition in Int32(0)..<3 { #expect(try await cluster.leader("t", partition) != 1) }
        }
    }

    @Test(arguments: ["isr", "tiered"]) func replicasMoveBetweenTheDirectoriesOfABrokerWhileTheyAreProducedTo(_ mode: String)
        async throws
    {
        try await with(mode) { cluster in
            let client = cluster.client
            try await client.createTopic("t", partitions: 6, replicationFactor: 3, configuration: ["segment.bytes": "16384"])
            _ = try await client.waitForLeaders(of: ["t": 6])
            func produce(_ rounds: Range<Int64>) async throws {
                for round in rounds {
                    for partition in Int32(0)..<6 {
                        #expect(try await cluster.produce("t", partition: partition, bytes: 1_000) == round)
                    }
                }
            }
            try await produce(0..<30)
            let paths = try await directories(cluster, of: 1).map(\.logDir)
            func move(_ partitions: [Int32], to path: String, topic: String = "t") async throws -> [Int32: ErrorCode] {
                try await client.alterReplicaLogDirectories(of: BrokerID(1), topic: topic, partitions: partitions, to: path)
            }
            #expect(try await move([0], to: "/no/such") == [0: .logDirNotFound])
            #expect(try await move([0], to: paths[0], topic: "none") == [0: .unknownTopicOrPartition])
            async let producing: Void = produce(30..<60)
            #expect(try await move(Array(0..<6), to: paths[1]).values.allSatisfy { $0 == .none })
            try await producing
            #expect(
                try await NodeCluster.eventually {
                    let told = try await directories(cluster, of: 1).map { $0.topics.flatMap(\.partitions) }
                    return told[0].isEmpty && told[1].count == 6 && told[1].allSatisfy { !$0.isFutureKey }
                })
            #expect(cluster.partitionDirectories(of: "t", under: paths[1]).count == 6)
            #expect(cluster.partitionDirectories(of: "t", under: paths[0]).isEmpty)
            try await produce(60..<70)
            #expect(try await members(cluster) { _ in 3 })
            // As leaders and as followers they have what the others have.
            await cluster.stop(1)
            try await cluster.start(1)
            #expect(try await members(cluster) { _ in 3 })
            for partition in Int32(0)..<6 {
                #expect(cluster.node(1).log(topic: "t", partition: partition)?.offsets.logEnd == Offset(70))
            }
            #expect(cluster.partitionDirectories(of: "t", under: paths[1]).count == 6)
        }
    }

    @Test func aDirectoryThatIsLostTakesOnlyItsPartitionsOffTheBroker() async throws {
        try await with { cluster in
            let client = cluster.client
            try await client.createTopic(
                "t", partitions: 6, replicationFactor: 3, configuration: ["min.insync.replicas": "2", "segment.bytes": "16384"])
            _ = try await client.waitForLeaders(of: ["t": 6])
            var next: [Int32: Int64] = [:]
            for partition in Int32(0)..<6 {
                next[partition] = try await cluster.produce("t", partition: partition, bytes: 1_000) + 1
            }
            let lostDirectory = try #require(try await directories(cluster, of: 1).last)
            let lost = Set(lostDirectory.topics.flatMap(\.partitions).map(\.partitionIndex))
            #expect(lost.count == 3)
            // As when a mount goes away: the next segment cannot be made.
            try FileManager.default.removeItem(atPath: lostDirectory.logDir)
            for _ in 0..<40 {
                for partition in Int32(0)..<6 {
                    let offset = try await cluster.produce("t", partition: partition, bytes: 1_000)
                    #expect(offset == next[partition])
                    next[partition] = offset + 1
                }
            }
            #expect(
                try await NodeCluster.eventually {
                    let view = try await client.refresh(topics: ["t"]).topics["t"]?.partitions ?? [:]
                    return view.count == 6
                        && view.allSatisfy { $0.value.leader != nil && !(lost.contains($0.key) && $0.value.leader == BrokerID(1)) }
                })
            let told = try await directories(cluster, of: 1)
            #expect(told.map(\.errorCode) == [.none, .kafkaStorageError])
            #expect(told[0].topics.flatMap(\.partitions).count == 3)
            #expect(cluster.node(1).isServing)
            // The others of its partitions are in sync as before; the lost ones are led by whoever is left of the set.
            for partition in Int32(0)..<6 {
                let leader = Int(try #require(try await cluster.leader("t", partition)))
                let members = cluster.node(leader).log(topic: "t", partition: partition)?.assignment.inSyncReplicas ?? []
                #expect(members.contains(BrokerID(1)) != lost.contains(partition), "partition \(partition): \(members)")
            }
            // A new disk in its place: after a restart the replicas are copied again.
            await cluster.stop(1)
            try await cluster.start(1)
            #expect(
                try await NodeCluster.eventually {
                    for partition in lost {
                        guard let leader = try await cluster.leader("t", partition),
                            cluster.node(Int(leader)).log(topic: "t", partition: partition)?.assignment.inSyncReplicas.count == 3
                        else { return false }
                    }
                    return true
                })
            for partition in Int32(0)..<6 { #expect(try await cluster.produce("t", partition: partition) == next[partition]) }
        }
    }
}
