//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Foundation
import Testing

@Suite struct WorkloadFileTests {
    @Test func anUpstreamWorkloadIsRead() throws {
        let workload = try WorkloadFile(
            yaml: """
                name: 1 topic / 16 partitions / 1kb
                topics: 1
                partitionsPerTopic: 16
                keyDistributor: "NO_KEY"
                messageSize: 1024
                payloadFile: "payload/payload-1Kb.data"
                subscriptionsPerTopic: 2
                consumerPerSubscription: 3
                producersPerTopic: 4
                producerRate: 50000
                consumerBacklogSizeGB: 0
                testDurationMinutes: 15
                """)
        #expect(workload.name == "1 topic / 16 partitions / 1kb")
        #expect(workload.partitions(ofTopic: 0) == 16)
        #expect(workload.messageSize == 1024)
        #expect(workload.subscriptionsPerTopic == 2 && workload.consumerPerSubscription == 3 && workload.producersPerTopic == 4)
        #expect(workload.producerRate == 50_000 && workload.testDurationMinutes == 15 && workload.warmupDurationMinutes == 1)
        // The payload file is mentioned and not used.
        #expect(workload.warnings.count == 1 && workload.warnings[0].contains("line 6"))
    }

    @Test func theForksKeysAreRead() throws {
        let workload = try WorkloadFile(
            yaml: """
                partitionsPerTopicList: [3, 5]
                topics: 4
                producerRateList:
                  - [16, 0, 1000]
                  - [8, 30, 2500]
                randomTopicNames: false
                logIntervalMillis: 2000
                existingTopicList: [a, b]
                useRandomizedPayloads: true
                randomBytesRatio: 0.25
                """)
        #expect((0..<4).map { workload.partitions(ofTopic: $0) } == [3, 5, 3, 5])
        #expect(workload.intervalMilliseconds == 2000)
        #expect(workload.existingTopicList == ["a", "b"])
        #expect(workload.compressibleTo == 0.25)
        #expect(workload.rate(atMinuteOfDay: 9 * 60) == 2500)
        #expect(workload.rate(atMinuteOfDay: 16 * 60) == 1000)
        // Before the first row of the day the last of the day before holds.
        #expect(workload.rate(atMinuteOfDay: 0) == 1000)
        #expect(try WorkloadFile(yaml: "sampleRateMillis: 500").intervalMilliseconds == 500)
    }

    @Test func anUnknownKeyIsNamedInAWarning() throws {
        let workload = try WorkloadFile(yaml: "topics: 1\nmesageSize: 10\n", path: "w.yaml")
        #expect(workload.warnings == ["w.yaml, line 2: unknown key mesageSize, not used"])
    }

    @Test(arguments: [
        ("topics: 1\nmessageSize: many\n", 2), ("topics: 1\n\npartitionsPerTopic: 0\n", 3), ("randomBytesRatio: 1.5\n", 1),
        ("useRandomizedPayloads: perhaps", 1), ("topics: [1]", 1), ("partitionsPerTopicList: 3", 1),
        ("producerRateList:\n- [1, 2]\n", 2),
        ("producerRateList:\n- [0, 0, 5]\n- [25, 0, 10]\n", 3), ("messageSize: 8", 1), ("topics: 1\ntopics: 2\n", 2),
        ("- a\n- b\n", 1),
        ("topics: 1\n  messageSize: 10\n", 2), ("name: \"open\ntopics: 1", 2),
    ])
    func anErrorIsOneLineThatNamesItsLine(yaml: String, line: Int) {
        let error = #expect(throws: WorkloadFileError.self) { try WorkloadFile(yaml: yaml, path: "w.yaml") }
        #expect(error?.line == line, "\(error?.description ?? "")")
        #expect(error?.description.hasPrefix("w.yaml, line \(line): ") == true)
        #expect(error?.description.contains("\n") == false)
    }

    @Test func aFileThatIsNotThereOrEmptyIsAClearError() {
        let missing = #expect(throws: WorkloadFileError.self) { try WorkloadFile(path: "/nowhere/w.yaml") }
        #expect(missing?.description.hasPrefix("/nowhere/w.yaml: ") == true)
        #expect(throws: WorkloadFileError.self) { try WorkloadFile(yaml: "") }
    }
}
