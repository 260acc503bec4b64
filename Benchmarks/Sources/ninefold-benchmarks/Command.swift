//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// Another program, run for what it prints.
enum Command {
    /// - Returns: nil if it is not there or fails.
    static func output(_ command: [String], input: String = "") -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let (question, answer) = (Pipe(), Pipe())
        process.standardInput = question
        process.standardOutput = answer
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        // From a thread of its own: the program answers while it is asked.
        DispatchQueue.global().async {
            try? question.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            try? question.fileHandleForWriting.close()
        }
        let bytes = answer.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return process.terminationStatus == 0
            ? String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) : nil
    }
}
