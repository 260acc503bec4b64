//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

@Suite struct SeedsTests {
    @Test(arguments: [("5", UInt64(5)...5), ("0...3", 0...3), ("7...7", 7...7)])
    func textNamesSeeds(_ text: String, _ seeds: ClosedRange<UInt64>) {
        #expect(Seeds.parse(text) == seeds)
    }

    @Test(arguments: ["", "x", "3...1", "1..", "1...", "-1", "1.5"])
    func otherTextIsNone(_ text: String) { #expect(Seeds.parse(text) == nil) }

    /// Names that a dictionary holds in an order of its own, and chance drawn for each of their files at a power cut.
    @Test func aDiskOfAnyOrderOfNamesForgetsTheSame() throws {
        func left(_ names: [String]) throws -> [String] {
            let disk = SimulatedDisk(seed: 3)
            for name in names { try disk.open(name, .createNew).close() }
            try disk.synchronizeDirectory("")
            for name in names.sorted() {
                let file = try disk.open(name, .readWrite)
                defer { file.close() }
                for index in 0..<8 { try file.write([ByteBuffer(string: "\(name)\(index)")], at: Int64(index * 600)) }
            }
            let next = disk.crash(.powerCut)
            return try names.sorted().map { "\($0): \(try next.readFile($0).readableBytesView.map { Int($0) }.reduce(0, &+))" }
        }
        let names = (0..<40).map { "file-\($0)" }
        let once = try left(names)
        #expect(try left(names.reversed()) == once)
        #expect(try left(names.sorted()) == once)
    }
}
