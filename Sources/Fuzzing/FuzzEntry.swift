//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

/// What libFuzzer calls, in the program that `Scripts/fuzz.sh` links; nothing else does. One program serves all targets: the
/// environment names the one.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do throws(FuzzFinding) {
        try namedTarget.run(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    } catch { fatalError("finding: \(error)") }
    return 0
}

private let namedTarget: FuzzTarget = {
    let name = getenv("NINEFOLD_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else { fatalError("NINEFOLD_FUZZ_TARGET names no target: \(name)") }
    return target
}()
