//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import Testing

@Suite struct CRC32CCombineTests {
    @Test(arguments: [0, 1, 2, 3, 7, 8, 63, 64, 65, 1000, 4096, 100_003])
    func joinedChecksumsAreThatOfTheWhole(second: Int) {
        for first in [0, 1, 5, 61, 1000] {
            let bytes = (0..<first + second).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
            let combiner = CRC32C.Combiner(appending: second)
            let joined = combiner.combine(
                CRC32C.checksum(of: Array(bytes[..<first])), CRC32C.checksum(of: Array(bytes[first...])))
            #expect(joined == CRC32C.checksum(of: bytes))
        }
    }
}
