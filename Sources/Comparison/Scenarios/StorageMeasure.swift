//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering

/// Puts together what was found by walking the directories (bytes on media) and what the brokers know (which of them are record
/// data, live WAL, garbage).
struct StorageMeasure {
    let places: ModePlaces
    let counters: [String: Int64]
    let reported: [String: FootprintReport]

    var result: StorageResult? {
        let logical = Double(counters["logical.bytes"] ?? 0)
        guard logical > 0 else { return nil }
        var walked = DirectoryMeasure.walk(places.directory)
        for directory in places.outsideDirectories {
            let more = DirectoryMeasure.walk(directory)
            walked.allocatedBytes += more.allocatedBytes
            walked.allocatedByKind.merge(more.allocatedByKind) { $0 + $1 }
        }
        func onDisk(_ kind: String) -> Double { Double(walked.allocatedByKind[kind] ?? 0) }
        func report(_ medium: String) -> FootprintReport { reported[medium] ?? FootprintReport() }
        let garbage = Double(report("garbage").physicalBytes)
        let liveWAL = min(Double(report("wal").physicalBytes), onDisk("wal"))
        let objects = places.objectStoreIsLocal ? max(onDisk("object") - garbage, 0) : Double(report("object").physicalBytes)
        let objectBasis = places.objectStoreIsLocal ? "measured" : report("object").basis
        let media: [(name: String, physical: Double, records: Double, basis: String)] = [
            ("hotLog", onDisk("hotLog"), Double(report("hotLog").recordBytes), "measured"),
            ("wal", liveWAL, Double(report("wal").recordBytes), "measured"),
            ("object", objects, Double(report("object").recordBytes), objectBasis),
            ("garbage", garbage, Double(report("garbage").recordBytes), objectBasis),
            ("index", onDisk("index"), 0, "measured"),
            ("metadata", onDisk("metadata"), 0, "measured"),
            ("reserved", max(onDisk("wal") - liveWAL, 0), 0, "measured"),
        ]
        let physical = media.reduce(0) { $0 + $1.physical }
        let records = media.reduce(0) { $0 + $1.records }
        let written = counters.filter { $0.key.hasPrefix("written.") }.reduce(0) { $0 + Double($1.value) }
        return StorageResult(
            logicalBytes: logical, physicalBytes: physical, copies: records / logical, overhead: (physical - records) / logical,
            bytesWritten: written, writeAmplification: written / logical,
            byMedium: media.filter { $0.physical > 0 || $0.records > 0 }.map {
                StorageResult.MediumBytes(medium: $0.name, physicalBytes: $0.physical, recordBytes: $0.records, basis: $0.basis)
            }, directoryBytes: Double(walked.allocatedBytes))
    }
}
