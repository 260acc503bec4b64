//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import RuntimeEnvironment

/// Lines on standard error that say what is going on and since when.
package struct Progress: Sendable {
    private let start: ContinuousClock.Instant
    private let isSilent: Bool

    package init(silent: Bool = false) {
        start = .now
        isSilent = silent
    }

    package var seconds: Double { (ContinuousClock.now - start).inSeconds }

    package func callAsFunction(_ text: String) {
        guard !isSilent else { return }
        let tenths = Int(seconds * 10)
        let time = "\(tenths / 10).\(tenths % 10)"
        FileHandle.standardError.write(Data("[\(String(repeating: " ", count: max(0, 6 - time.count)))\(time) s] \(text)\n".utf8))
    }
}
