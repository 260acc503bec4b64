//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Testing
import TieredOffload

/// Found by reading for the fuzzer: numbers in a stored record that contradict each other stopped the program where they were used.
@Suite struct ManifestTests {
    private func manifest(start: String = "0", length: String = "0", base: String = "0", end: String = "0") -> Data {
        let section = #"{"start":\#(start),"length":\#(length),"crc32c":0}"#
        return Data(
            #"""
            {"version":1,"topic":"t","topicID":"00000000000000010000000000000002","partition":0,"segment":{"id":"","state":"copyStarted",
            "objectKey":"","baseOffset":\#(base),"endOffset":\#(end),"maxTimestamp":-1,"sizeInBytes":0,"crc32c":0,"broker":0,
            "leaderEpoch":0,"eventTime":0,"epochs":[],"indexes":{"offset":\#(section),"time":\#(section),"epochs":\#(section)}}}
            """#.utf8)
    }

    @Test func aManifestThatContradictsItselfIsRefused() throws {
        func read(_ data: Data) throws { _ = try JSONDecoder().decode(SegmentManifest.self, from: data) }
        try read(manifest(start: "3", length: "4", end: "9"))
        for bad in [
            manifest(length: "-1"), manifest(start: "-1"), manifest(start: "9223372036854775807", length: "1"),
            manifest(base: "9", end: "8"), manifest(base: "-5"),
        ] {
            #expect(throws: DecodingError.self) { try read(bad) }
        }
    }
}
