//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import NIOCore

/// One recorded exchange between a real client and Apache Kafka 3.9.0.
struct FixtureFrame: Decodable, CustomStringConvertible {
    var client: String
    var apiKey: Int16
    var apiName: String
    var apiVersion: Int16
    var correlationId: Int32
    /// Hex of the frame without its length.
    var request: String
    /// Missing for Produce with acks=0.
    var response: String?
    var verified: Bool

    var description: String { "\(client) \(apiName) v\(apiVersion) #\(correlationId)" }
    var requestBytes: ByteBuffer { Self.bytes(request) }
    var responseBytes: ByteBuffer? { response.map(Self.bytes) }

    private static func bytes(_ hex: String) -> ByteBuffer {
        func digit(_ character: UInt8) -> UInt8 { character < 0x3A ? character - 0x30 : character - 0x57 }
        let digits = Array(hex.utf8)
        return ByteBuffer(bytes: stride(from: 0, to: digits.count, by: 2).map { digit(digits[$0]) << 4 | digit(digits[$0 + 1]) })
    }
}

/// Where recorded frames are found.
enum FixtureFrames {
    /// The few dozen that lie in this package.
    static let golden: [FixtureFrame] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/kafka-frames.jsonl")
        return read(file)
    }()

    /// All of them, if their folder is beside the package or an ancestor of it, or named by NINEFOLD_SHARED.
    static let recorded: [FixtureFrame] = {
        guard let folder else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().filter { $0.hasSuffix(".jsonl") }.flatMap { read(folder.appendingPathComponent($0)) }
    }()

    static let folder: URL? = {
        var candidates: [URL] = []
        if let shared = ProcessInfo.processInfo.environment["NINEFOLD_SHARED"] { candidates.append(URL(fileURLWithPath: shared)) }
        for start in [#filePath, FileManager.default.currentDirectoryPath + "/x"] {
            var folder = URL(fileURLWithPath: start).deletingLastPathComponent()
            while folder.path != "/" {
                candidates.append(folder.appendingPathComponent("shared"))
                folder = folder.deletingLastPathComponent()
            }
        }
        return candidates.map { $0.appendingPathComponent("fixtures/frames") }
            .first { FileManager.default.fileExists(atPath: $0.path) }
    }()

    private static func read(_ file: URL) -> [FixtureFrame] {
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(FixtureFrame.self, from: Data($0.utf8)) }
    }
}
