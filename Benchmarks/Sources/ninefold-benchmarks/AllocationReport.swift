//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import MicroBenchmarks

/// The places that allocate, by their functions' names, as the toolchain's own tools tell them.
struct AllocationReport {
    let text: String

    private static let sitesMax = 12
    private static let framesMax = 8

    init(_ benchmark: MicroBenchmark, _ sites: [AllocationSite]) throws {
        let shown = sites.prefix(Self.sitesMax)
        let names = try Self.names(of: Set(shown.flatMap(\.frames)))
        var lines = ["\(benchmark.name): \(benchmark.summary)"]
        for site in shown {
            lines.append(String(format: "  %g allocations, %g bytes per operation", site.allocations, site.bytes.rounded()))
            lines += site.frames.map { names[$0] ?? "?" }.drop(while: Self.isAllocator).prefix { !$0.hasPrefix("swift::runJob") }
                .prefix(Self.framesMax).map { "      \($0)" }
        }
        if sites.count > shown.count { lines.append("  and \(sites.count - shown.count) places more") }
        if sites.isEmpty { lines.append("  none") }
        text = lines.joined(separator: "\n") + "\n"
    }

    private static func isAllocator(_ name: String) -> Bool {
        [
            "write_down", "count_allocation", "malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "swift_slowAlloc",
            "swift_alloc",
        ]
        .contains { name.hasPrefix($0) }
    }

    private static func names(of frames: Set<AllocationSite.Frame>) throws -> [AllocationSite.Frame: String] {
        let order = Array(frames)
        let question = order.map { frame in
            let file = FileManager.default.fileExists(atPath: frame.file) ? frame.file : executable
            // A return address is the instruction after the call.
            return "\"\(file)\" 0x\(String(frame.offset &- 1, radix: 16))\n"
        }
        guard
            let found = Command.output(
                ["llvm-symbolizer", "--output-style=LLVM", "--no-inlines", "--functions=linkage"], input: question.joined()),
            let readable = Command.output(["swift", "demangle", "--simplified"], input: found + "\n")
        else { throw CheckFailure("llvm-symbolizer and swift must be on PATH to name functions") }
        // Per address: the function, its place in the sources, an empty line.
        let answers = readable.components(separatedBy: "\n\n").map { $0.split(separator: "\n").first.map(String.init) ?? "?" }
        return Dictionary(
            uniqueKeysWithValues: zip(order, answers).map { frame, answer in
                (frame, answer == "??" ? "\(frame.file) + 0x\(String(frame.offset, radix: 16))" : answer)
            })
    }

    private static let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
}
