//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import KafkaNetwork
import KafkaProtocol
import LogModel
import Testing

/// Moves of partitions that are held back, told of, and called off (KIP-455, KIP-73).
@Suite(.serialized) struct ReassignmentTests {
    private func code(_ body: () async throws -> Void) async -> ErrorCode? {
        do { try await body() } catch let error as KafkaClientError {
            if case .broker(let code) = error.code { return code }
        } catch {}
        return nil
    }

    @Test(arguments: ["isr", "tiered"]) func aMoveThatIsHeldBackSaysSoAndCanBeCalledOff(mode: String) async throws {
        try await NodeCluster.with(mode) { cluster in
            let client = cluster.client
            try await client.createTopic(
                "t", partitions: 1, replicationFactor: 1, configuration: ["leader.replication.throttled.replicas": "0:1"],
                assignments: [[BrokerID(1)]])
            _ = try await client.waitForLeaders(of: ["t": 1])
            for _ in 0..<20 { try await cluster.produce("t", bytes: 10_000) }
            try await client.alterConfiguration(ofBroker: "", ["leader.replication.throttled.rate": "0"])
            try await client.alterPartitionReassignments(topic: "t", [0: [BrokerID(2)]])
            let moves = try await client.listPartitionReassignments()
            #expect(moves.map(\.adding) == [[BrokerID(2)]] && moves.map(\.removing) == [[BrokerID(1)]])
            let copy = "\(cluster.directory)/broker-2"
            #expect(await NodeCluster.eventually { cluster.partitionDirectories(of: "t", under: copy) == ["t-0"] })
            #expect(await NodeCluster.eventually { cluster.node(1).copies.first?.ingestedBytesPerSecond != nil })
            try await cluster.produce("t")
            let report = try #require(cluster.node(1).copies.first)
            #expect(report.topic == "t" && report.replica == 2)
            #expect(report.copiedBytes == 0 && report.remainingBytes > 200_000)
            #expect(report.finishesInSeconds == nil)
            #expect(report.forecast.hasPrefix("never at this rate: throttle 0 B/s <= ingest "), "\(report.forecast)")

            try await client.alterPartitionReassignments(topic: "t", [0: nil])
            #expect(try await client.listPartitionReassignments().isEmpty)
            #expect(await NodeCluster.eventually { cluster.partitionDirectories(of: "t", under: copy).isEmpty })
            #expect(await NodeCluster.eventually { cluster.node(1).copies.isEmpty })
            #expect(try await cluster.leader("t") == 1)
            #expect(try await cluster.produce("t") == 21)
            #expect(await code { try await client.alterPartitionReassignments(topic: "t", [0: nil]) } == .noReassignmentInProgress)

            // Without the throttle the same move ends.
            try await client.alterConfiguration(ofBroker: "", ["leader.replication.throttled.rate": nil])
            try await client.alterPartitionReassignments(topic: "t", [0: [BrokerID(2)]])
            #expect(try await NodeCluster.eventually { try await client.listPartitionReassignments().isEmpty })
            // Each broker learns of it in its own time.
            #expect(try await NodeCluster.eventually { try await cluster.leader("t") == 2 })
            #expect(try await cluster.produce("t") == 22)
        }
    }

    @Test func aHandOverThatIsCalledOffLeavesOneOwnerAndEveryRecord() async throws {
        try await NodeCluster.with("shared") { cluster in
            let client = cluster.client
            try await client.createTopic("t", partitions: 1, replicationFactor: 1, assignments: [[BrokerID(1)]])
            _ = try await client.waitForLeaders(of: ["t": 1])
            var next: Int64 = 0
            for round in 0..<6 {
                #expect(try await cluster.produce("t") == next)
                next += 1
                try await client.alterPartitionReassignments(topic: "t", [0: [BrokerID(round % 2 == 0 ? 2 : 1)]])
                // Either it comes in time, or the hand-over was quicker.
                let refused = await code { try await client.alterPartitionReassignments(topic: "t", [0: nil]) }
                #expect(refused == nil || refused == .noReassignmentInProgress)
                #expect(try await NodeCluster.eventually { try await client.listPartitionReassignments().isEmpty })
            }
            #expect(try await cluster.produce("t") == next)
            #expect(try await client.listOffset(of: "t", partition: 0, timestamp: -2) == 0)
            #expect(try await client.listOffset(of: "t", partition: 0, timestamp: -1) == next + 1)
        }
    }

    @Test func aThrottledMoveThatCanEndTellsWhen() async throws {
        try await NodeCluster.with("isr") { cluster in
            let client = cluster.client
            try await client.createTopic(
                "t", partitions: 1, replicationFactor: 1, configuration: ["follower.replication.throttled.replicas": "*"],
                assignments: [[BrokerID(1)]])
            _ = try await client.waitForLeaders(of: ["t": 1])
            for _ in 0..<40 { try await cluster.produce("t", bytes: 100_000) }
            try await client.alterConfiguration(ofBroker: "", ["follower.replication.throttled.rate": "1500000"])
            try await client.alterPartitionReassignments(topic: "t", [0: [BrokerID(2)]])
            var forecasts: [String] = []
            let isOver = try await NodeCluster.eventually {
                if let report = cluster.node(1).copies.first, report.finishesInSeconds != nil, report.remainingBytes > 0 {
                    forecasts.append(report.throttleBytesPerSecond == 1_500_000 ? report.forecast : "another throttle")
                }
                return try await client.listPartitionReassignments().isEmpty
            }
            #expect(isOver)
            #expect(!forecasts.contains("another throttle"))
            #expect(forecasts.contains { $0.hasPrefix("finishes in ") }, "\(forecasts)")
            #expect(try await cluster.produce("t") == 40)
        }
    }
}
