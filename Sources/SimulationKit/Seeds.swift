//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

/// Which seeds a test walks.
public enum Seeds {
    /// `usual`, unless the environment's `NINEFOLD_SEED` says otherwise: one (`5`) to repeat a failure, or many (`1...5000`) to look for
    /// one.
    public static func walked(_ usual: some Sequence<UInt64>) -> [UInt64] {
        guard let text = getenv("NINEFOLD_SEED").map({ String(cString: $0) }) else { return Array(usual) }
        guard let seeds = parse(text) else { preconditionFailure("NINEFOLD_SEED is a seed or FIRST...LAST, not \(text)") }
        return Array(seeds)
    }

    package static func parse(_ text: String) -> ClosedRange<UInt64>? {
        if let seed = UInt64(text) { return seed...seed }
        let ends = text.split(separator: ".", omittingEmptySubsequences: true)
        guard text.contains("..."), ends.count == 2, let first = UInt64(ends[0]), let last = UInt64(ends[1]), first <= last else {
            return nil
        }
        return first...last
    }
}
