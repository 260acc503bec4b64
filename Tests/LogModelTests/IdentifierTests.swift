//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogModel
import Testing

@Suite struct IdentifierTests {
    @Test func topicIDsHaveKafkasTextForm() {
        #expect(TopicID.zero.description == "AAAAAAAAAAAAAAAAAAAAAA")
        let id = TopicID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)
        // As base64 of Python's standard library has it, URL-safe.
        #expect(id.description == "ABEiM0RVZneImaq7zN3u_w")
        #expect(id.hex == "00112233445566778899aabbccddeeff")
        #expect(TopicID(hex: id.hex) == id)
        #expect(TopicID(hex: "00112233") == nil)
        #expect(TopicID(hex: "+0112233445566778899aabbccddeeff") == nil)
    }

    @Test func randomTopicIDsAreVersionFour() {
        var generator = SplitMix(seed: 1)
        let id = TopicID.random(using: &generator)
        #expect(id.hex[id.hex.index(id.hex.startIndex, offsetBy: 12)] == "4")
        #expect(id != TopicID.random(using: &generator))
    }

    @Test func timesThatLieTooFarApartDoNotOverflow() {
        #expect(Timestamp(5).milliseconds(since: Timestamp(-2)) == 7)
        #expect(Timestamp(5).milliseconds(since: Timestamp(.min)) == .max)
        #expect(Timestamp(.min).milliseconds(since: Timestamp(5)) == .min)
    }

    @Test func identifiersAreBareNumbersInJSON() throws {
        let partition = PartitionID(topicID: TopicID(high: 1, low: 2), topic: "t", partition: 3)
        let decoded = try JSONDecoder().decode(PartitionID.self, from: try JSONEncoder().encode(partition))
        #expect(decoded == partition && decoded.topic == "t")
        #expect(String(decoding: try JSONEncoder().encode([Offset(5)]), as: UTF8.self) == "[5]")
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(TopicID.self, from: Data("\"xyz\"".utf8)) }
    }
}
