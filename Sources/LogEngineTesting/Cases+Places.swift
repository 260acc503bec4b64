//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore

extension LogEngineConformance {
    static var placeCases: [ConformanceCase] {
        [
            ConformanceCase("footprint and size cover what is stored") { bench in
                var generator = SplitMix(seed: bench.seed)
                let log = try await bench.open()
                var logicalBytes: Int64 = 0
                for _ in 0..<20 {
                    let batch = try Sent.batch(records: 2, valueSize: 1_000, using: &generator)
                    logicalBytes += Int64(batch.sizeInBytes)
                    try await bench.append(batch, to: log)
                }
                try await log.flush()
                for settled in [false, true] {
                    if settled { try await bench.engine.settle() }
                    try demandEqual(log.sizeInBytes, logicalBytes, "size of the log")
                    for (footprint, isWhole) in [
                        (try await log.footprint(), true), (try await bench.engine.footprint(), !bench.traits.sharesStores),
                    ] {
                        let recordBytes = footprint.entries.values.reduce(0) { $0 + $1.recordBytes }
                        try demand(
                            !isWhole || recordBytes >= logicalBytes, "\(recordBytes) bytes of records held, \(logicalBytes) written"
                        )
                        for (medium, entry) in footprint.entries {
                            try demand(
                                entry.physicalBytes >= 0 && entry.recordBytes >= 0 && entry.count >= 0, "\(medium) is not negative")
                        }
                    }
                }
            },
            ConformanceCase("every physical copy of a record holds its bytes", if: { $0.physicalCopies > 0 }) { bench in
                var generator = SplitMix(seed: bench.seed)
                var configuration = LogConfiguration.suite
                configuration.segmentBytes = 8_192
                let log = try await bench.open(0, configuration)
                for _ in 0..<30 { try await bench.append(try Sent.batch(records: 3, valueSize: 200, using: &generator), to: log) }
                try await log.flush()
                let stored = try await bench.readAll(log)
                for settled in [false, true] {
                    if settled { try await bench.engine.settle() }
                    for batch in [stored[0], stored[14], stored[29]] {
                        let copies = try await log.physicalCopies(of: batch.header.baseOffset + 1)
                        try demand(
                            copies.count >= bench.traits.physicalCopies,
                            "\(copies.count) places of offset \(batch.header.baseOffset + 1), at least \(bench.traits.physicalCopies)"
                        )
                        for copy in copies {
                            try demand(copy.problem == nil, "\(copy.location) is read back: \(copy.problem ?? "")")
                            try demandEqual(copy.crc32c, CRC32C.checksum(of: batch.bytes), "CRC-32C at \(copy.location)")
                            try demandEqual(
                                copy.byteRange.upperBound - copy.byteRange.lowerBound, Int64(batch.bytes.readableBytes),
                                "bytes at \(copy.location)")
                        }
                        try demandEqual(Set(copies.map { "\($0.location)#\($0.byteRange)" }).count, copies.count, "distinct places")
                    }
                }
            },
        ]
    }
}
