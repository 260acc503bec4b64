//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation

/// The library that counts a broker's allocations from within (`Benchmarks/AllocationCounter`), compiled for one run.
package struct AllocationCounter: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    package struct Counts: Sendable, Hashable {
        package var allocations: Int64
        package var bytes: Int64
    }

    private let library: String

    /// Compiles the source, which is looked for below the working directory and beside the program, into `directory`.
    package init(executable: String, into directory: String) async throws(Failure) {
        let source = "Benchmarks/AllocationCounter/allocation_counter.c"
        // .build/release/ninefold, whose directory is one that a link leads to.
        var roots = [FileManager.default.currentDirectoryPath]
        var place = URL(fileURLWithPath: executable)
        for _ in 0..<4 {
            place.deleteLastPathComponent()
            roots.append(place.path)
        }
        guard let root = roots.first(where: { FileManager.default.fileExists(atPath: "\($0)/\(source)") }) else {
            throw Failure(description: "\(source) is not below the working directory")
        }
        library = "\(directory)/allocation_counter.so"
        let log = "\(directory)/allocation_counter.log"
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let compiler = try ChildProcess(
                name: "cc", executable: "/usr/bin/env",
                arguments: ["cc", "-O2", "-shared", "-fPIC", "-o", library, "\(root)/\(source)"], logPath: log)
            guard await compiler.waitForExit() == 0 else {
                throw Failure(
                    description: "cc could not compile \(source): \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")")
            }
        } catch let failure as Failure { throw failure } catch { throw Failure(description: "cc: \(error)") }
    }

    /// What a broker's process must find in its environment.
    package func environment(countsPath: String) -> [String: String] {
        ["LD_PRELOAD": library, "NINEFOLD_ALLOCATION_COUNTS": countsPath]
    }

    /// The counts so far; nil if the process has not made its file.
    package static func counts(at path: String) -> Counts? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        return Counts(data)
    }
}

extension AllocationCounter.Counts {
    /// Two little-endian 64-bit numbers.
    package init?(_ data: Data) {
        guard data.count >= 16 else { return nil }
        func number(_ index: Int) -> Int64 {
            (0..<8).reduce(0) { $0 | Int64(data[data.startIndex + index * 8 + $1]) << Int64(8 * $1) }
        }
        self.init(allocations: number(0), bytes: number(1))
    }
}
