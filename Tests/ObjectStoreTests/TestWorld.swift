//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import RuntimeEnvironment
import Synchronization

/// A fresh directory, removed when let go.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/ninefold-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Names of the files below, relative, in name order.
    func files(_ below: String = "") -> [String] {
        let root = below.isEmpty ? path : path + "/" + below
        let all = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
        return all.filter { name in
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: root + "/" + name, isDirectory: &isDirectory) && !isDirectory.boolValue
        }.sorted()
    }
}

extension RuntimeEnvironment {
    static let real = RuntimeEnvironment(clock: SystemClock(), randomness: SystemRandomSource(), workers: ThreadWorkerPool())
}

/// Sleeps end at once and are remembered.
final class ImpatientClock: Clock {
    private let state = Mutex<(now: Int64, sleeps: [Duration])>((0, []))
    let wall: Int64

    init(wall: Int64 = 1_369_353_600_000) { self.wall = wall }

    var sleeps: [Duration] { state.withLock { $0.sleeps } }

    func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: state.withLock { $0.now }) }
    func wallMilliseconds() -> Int64 { wall }
    func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        state.withLock { state in
            state.sleeps.append(deadline - MonotonicInstant(nanoseconds: state.now))
            state.now = max(state.now, deadline.nanoseconds)
        }
    }
}

/// SplitMix64 from a seed.
final class SeededSource: RandomSource {
    private let state: Mutex<UInt64>
    init(seed: UInt64) { state = Mutex(seed) }
    func next() -> UInt64 {
        state.withLock { state in
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
