//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import NIOCore

/// A request that a real client sent to Apache Kafka 3.9, and its answer.
struct RecordedFrame: Decodable, Sendable, CustomStringConvertible {
    var client: String
    var program: String
    var apiKey: Int16
    var apiName: String
    var apiVersion: Int16
    var request: String
    var response: String?
    var verified: Bool

    var description: String { "\(client) (\(program)): \(apiName) version \(apiVersion)" }
    var requestBytes: ByteBuffer { Self.bytes(request) }

    private static func bytes(_ hex: String) -> ByteBuffer {
        let digits = Array(hex.utf8)
        var buffer = ByteBuffer()
        for index in stride(from: 0, to: digits.count - 1, by: 2) {
            buffer.writeInteger(UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) ?? 0)
        }
        return buffer
    }

    /// The folder of recordings, if it is named by NINEFOLD_SHARED, or lies beside the package or an ancestor of it.
    static let fixtures: URL? = {
        var roots: [URL] = []
        if let shared = ProcessInfo.processInfo.environment["NINEFOLD_SHARED"] { roots.append(URL(fileURLWithPath: shared)) }
        for start in [#filePath, FileManager.default.currentDirectoryPath + "/x"] {
            var folder = URL(fileURLWithPath: start).deletingLastPathComponent()
            while folder.path != "/" {
                roots.append(folder.appendingPathComponent("shared"))
                folder = folder.deletingLastPathComponent()
            }
        }
        return roots.map { $0.appendingPathComponent("fixtures") }.first { FileManager.default.fileExists(atPath: $0.path) }
    }()

    static let all: [RecordedFrame] = {
        guard let folder = fixtures?.appendingPathComponent("frames") else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.sorted().filter { $0.hasSuffix(".jsonl") }.flatMap { name -> [RecordedFrame] in
            guard let text = try? String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8) else { return [] }
            return text.split(separator: "\n").compactMap { try? JSONDecoder().decode(RecordedFrame.self, from: Data($0.utf8)) }
        }
    }()
}
