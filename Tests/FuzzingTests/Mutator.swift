//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import RuntimeEnvironment
import SimulationKit

/// Makes hostile bytes of honest ones, as a seed wants: flips, cuts, insertions, splices with other inputs, and lengths that lie.
struct Mutator {
    private let random: SeededRandomSource
    private let corpus: [[UInt8]]

    init(seed: UInt64, corpus: [[UInt8]]) {
        random = SeededRandomSource(seed: seed)
        self.corpus = corpus
    }

    /// How many inputs a seed makes: `usual`, unless the environment's `NINEFOLD_FUZZ_RUNS` says otherwise.
    static func count(_ usual: Int) -> Int {
        ProcessInfo.processInfo.environment["NINEFOLD_FUZZ_RUNS"].flatMap { Int($0) } ?? usual
    }

    static let isLongRun = ProcessInfo.processInfo.environment["NINEFOLD_FUZZ_RUNS"] != nil

    /// One of the corpus, changed one to eight times.
    func next() -> [UInt8] {
        var bytes = corpus.isEmpty ? [] : corpus[below(corpus.count)]
        for _ in 0...below(8) { change(&bytes) }
        return bytes
    }

    private func below(_ bound: Int) -> Int { Int(random.next(below: UInt64(max(1, bound)))) }

    private func change(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = (0..<below(64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            return
        }
        let at = below(bytes.count)
        switch below(8) {
        case 0: bytes[at] ^= 1 << UInt8(below(8))
        case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes.removeSubrange(at..<min(bytes.count, at + 1 + below(32)))
        case 3: bytes.removeLast(bytes.count - at)
        case 4: bytes.insert(contentsOf: (0..<1 + below(16)).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: at)
        case 5: bytes.insert(contentsOf: bytes[at..<min(bytes.count, at + 1 + below(128))], at: below(bytes.count))
        case 6:
            let other = corpus[below(corpus.count)]
            bytes.replaceSubrange(at..., with: other.suffix(below(other.count + 1)))
        default: tamper(&bytes, at)
        }
        if bytes.count > 1 << 16 { bytes.removeLast(bytes.count - 1 << 16) }
    }

    /// Writes a number that a length or an offset should not be, in one of the widths that there are.
    private func tamper(_ bytes: inout [UInt8], _ at: Int) {
        let width = [1, 2, 4, 8][below(4)]
        let extremes: [Int64] = [
            0, 1, -1, .max, .min, Int64(Int32.max), Int64(Int32.min), Int64(bytes.count), Int64(Int16.max), 1 << 40,
        ]
        let value = extremes[below(extremes.count)] &+ Int64(below(5)) &- 2
        for index in 0..<min(width, bytes.count - at) {
            bytes[at + index] = UInt8(truncatingIfNeeded: value >> Int64(8 * (width - 1 - index)))
        }
    }
}
