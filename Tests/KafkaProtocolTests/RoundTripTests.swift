//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import Testing

/// Random values of every message in every version.
@Suite struct RoundTripTests {
    @Test func everyAPIHasSampledMessages() {
        let names = Set(sampledMessages.map { "\($0)" })
        for entry in MessageRegistry.entries {
            #expect(names.contains("\(entry.request)") && names.contains("\(entry.response)"), "\(entry.name)")
        }
        #expect(MessageRegistry.entries.count >= 58)
    }

    @Test func whatIsEncodedDecodesToTheSameValueAndTheSameBytes() throws {
        func check<Message: KafkaMessage & Sampled>(_ type: Message.Type, seed: UInt64) throws {
            var source = SampleSource(seed: seed)
            for version in Message.validVersions {
                for _ in 0..<12 {
                    let value = Message.sample(using: &source, version: version)
                    let bytes = try value.bytes(version: version)
                    let decoded = try Message(decoding: bytes, version: version)
                    #expect(decoded == value, "\(type) v\(version)")
                    #expect(try decoded.bytes(version: version) == bytes, "\(type) v\(version)")
                }
            }
        }
        for (index, type) in sampledMessages.enumerated() { try check(type, seed: UInt64(index)) }
    }

    @Test func defaultsSurviveEveryVersion() throws {
        func check<Message: KafkaMessage>(_ type: Message.Type) throws {
            for version in Message.validVersions {
                let bytes = try Message().bytes(version: version)
                #expect(try Message(decoding: bytes, version: version) == Message(), "\(type) v\(version)")
            }
        }
        for type in sampledMessages { try check(type) }
    }

    /// Encoding in a version that lacks some of the fields either refuses, naming version and field, or drops what may be dropped.
    @Test func valuesOfTheNewestVersionAreRefusedOrReducedInOlderOnes() throws {
        var refusals = 0
        var reductions = 0
        func check<Message: KafkaMessage & Sampled>(_ type: Message.Type, seed: UInt64) throws {
            var source = SampleSource(seed: seed)
            for version in Message.validVersions {
                let value = Message.sample(using: &source, version: Message.validVersions.upperBound)
                do {
                    let bytes = try value.bytes(version: version)
                    let reduced = try Message(decoding: bytes, version: version)
                    #expect(try reduced.bytes(version: version) == bytes, "\(type) v\(version)")
                    if reduced != value { reductions += 1 }
                } catch let error as CodecError {
                    refusals += 1
                    switch error {
                    case .notInVersion(_, version), .invalid: break
                    default: Issue.record("\(type) v\(version): \(error)")
                    }
                }
            }
        }
        for (index, type) in sampledMessages.enumerated() { try check(type, seed: UInt64(index) + 1000) }
        #expect(refusals > 0 && reductions > 0)
    }

    @Test func versionsOutsideTheRangeAreRefused() {
        func check<Message: KafkaMessage>(_ type: Message.Type) {
            for version in [Message.validVersions.lowerBound - 1, Message.validVersions.upperBound + 1, .min, .max] {
                #expect(throws: CodecError.unsupportedVersion(version)) { try Message().encoded(version: version) }
                #expect(throws: CodecError.unsupportedVersion(version)) {
                    try Message(decoding: ByteBuffer(repeating: 0, count: 64), version: version)
                }
            }
        }
        for type in sampledMessages { check(type) }
    }

    @Test func fieldsThatMayBeDroppedAreDroppedAndOthersRefused() throws {
        let rack = FetchRequest(rackId: "a")
        #expect(try FetchRequest(decoding: rack.bytes(version: 4), version: 4).rackId == "")
        #expect(try FetchRequest(decoding: rack.bytes(version: 11), version: 11).rackId == "a")
        let forgotten = FetchRequest(forgottenTopicsData: [.init(topic: "t")])
        #expect(throws: CodecError.notInVersion(field: "FetchRequest.forgottenTopicsData", version: 6)) {
            try forgotten.encoded(version: 6)
        }
        // Tagged: in no version below 15.
        let replica = FetchRequest(replicaState: .init(replicaId: 3, replicaEpoch: 9))
        #expect(throws: CodecError.notInVersion(field: "FetchRequest.replicaState", version: 12)) {
            try replica.encoded(version: 12)
        }
        #expect(try FetchRequest(decoding: replica.bytes(version: 15), version: 15) == replica)
    }

    @Test func nullIsRefusedWhereTheVersionHasNone() throws {
        let everything = MetadataRequest(topics: nil)
        #expect(throws: CodecError.invalid(field: "MetadataRequest.topics")) { try everything.encoded(version: 0) }
        let bytes = try everything.bytes(version: 1)
        #expect(try MetadataRequest(decoding: bytes, version: 1).topics == nil)
        #expect(throws: CodecError.invalid(field: "MetadataRequest.topics")) { try MetadataRequest(decoding: bytes, version: 0) }
    }
}

extension KafkaMessage {
    /// The encoded message in one buffer.
    func bytes(version: Int16) throws -> ByteBuffer { try LogSlices(encoded(version: version)).contiguous() }
}
