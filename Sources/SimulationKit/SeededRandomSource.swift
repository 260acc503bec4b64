//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import RuntimeEnvironment
internal import Synchronization

/// Random bits that a seed repeats (Vigna's SplitMix64). Safe from any thread; the same only if asked in the same order.
public final class SeededRandomSource: RandomSource {
    public let seed: UInt64
    private let state: Mutex<UInt64>

    public init(seed: UInt64) {
        self.seed = seed
        state = Mutex(seed)
    }

    public func next() -> UInt64 {
        var mixed = state.withLock { state -> UInt64 in
            state &+= 0x9E37_79B9_7F4A_7C15
            return state
        }
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// True with `probability`, from 0 to 1.
    public func chance(_ probability: Double) -> Bool { probability > 0 && nextUnit() < probability }

    /// A source of its own for `purpose`, so that one part of a world drawing more does not change what another draws.
    public func fork(_ purpose: String) -> SeededRandomSource {
        // FNV-1a: the standard library's hash differs from run to run.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return SeededRandomSource(seed: seed ^ hash)
    }
}
