//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering

/// Puts together what was found by walking the directories (bytes on media) and what the brokers know (which of them are record
/// data, live WAL, garbage).
struct StorageMeasure {
    let places: ModePlaces
    /// Grown since the brokers served.
    let counters: [String: Int64]
    let reported: [String: FootprintReport]
    /// What the volume's backing directories hold; nil where none were named.
    let backing: BackingMeasure.Result?

    var result: StorageResult? {
        let logical = Double(counters["logical.bytes"] ?? 0)
        guard logical > 0 else { return nil }
        let walked = self.walked
        func onDisk(_ kind: String) -> Double { Double(walked.allocatedByKind[kind] ?? 0) }
        func report(_ medium: String) -> FootprintReport { reported[medium] ?? FootprintReport() }
        // A broker knows of one copy of what it writes to a mount; the backing directories show how many there are.
        func copies(_ kind: String) -> Double { backing.map { $0.copiesByKind[kind] ?? $0.copies } ?? 1 }
        let garbage = Double(report("garbage").physicalBytes)
        let liveWAL = min(Double(report("wal").physicalBytes) * copies("wal"), onDisk("wal"))
        let isLocal = places.objects.isLocal
        let objects = isLocal ? max(onDisk("object") - garbage, 0) : Double(report("object").physicalBytes)
        let objectBasis = isLocal ? "measured" : report("object").basis
        let media: [(name: String, physical: Double, records: Double, basis: String)] = [
            ("hotLog", onDisk("hotLog"), Double(report("hotLog").recordBytes) * copies("hotLog"), "measured"),
            ("wal", liveWAL, Double(report("wal").recordBytes) * copies("wal"), "measured"),
            ("object", objects, Double(report("object").recordBytes), objectBasis),
            ("garbage", garbage, Double(report("garbage").recordBytes), objectBasis),
            ("index", onDisk("index"), 0, "measured"),
            ("metadata", onDisk("metadata"), 0, "measured"),
            (BackingMeasure.ownKind, onDisk(BackingMeasure.ownKind), 0, "measured"),
            ("reserved", max(onDisk("wal") - liveWAL, 0), 0, "measured"),
        ]
        let physical = media.reduce(0) { $0 + $1.physical }
        let records = media.reduce(0) { $0 + $1.records }
        return StorageResult(
            logicalBytes: logical, physicalBytes: physical, copies: records / logical, overhead: (physical - records) / logical,
            bytesWritten: written, writeAmplification: written / logical,
            byMedium: media.filter { $0.physical > 0 || $0.records > 0 }.map {
                StorageResult.MediumBytes(medium: $0.name, physicalBytes: $0.physical, recordBytes: $0.records, basis: $0.basis)
            }, directoryBytes: Double(walked.allocatedBytes), volumeCopies: backing?.copies)
    }

    /// Every directory of the mode: the volume's as they are, or as its backing directories hold them.
    private var walked: DirectoryMeasure {
        var seen: Set<DirectoryMeasure.Inode> = []
        var walked = DirectoryMeasure()
        if let backing {
            walked = backing.physical
            // What the mount shows has been counted below it.
            _ = DirectoryMeasure.walk(places.volume.directory, seen: &seen)
        } else {
            walked = DirectoryMeasure.walk(places.volume.directory, seen: &seen)
        }
        if let objects = places.objects.directory {
            walked.add(DirectoryMeasure.walk(objects, seen: &seen) { DirectoryMeasure.kind(ofPath: "objects/\($0)") })
        }
        walked.add(DirectoryMeasure.walk(places.directory, seen: &seen))
        return walked
    }

    /// Bytes handed to media, each copy once: those of our own volumes and directories are counted where they are written; a mount's and an
    /// endpoint's are multiplied by the copies that were found in its backing directories, or declared.
    private var written: Double {
        counters.filter { $0.key.hasPrefix("written.") }.reduce(0.0) { sum, entry in
            sum + Double(entry.value) * (entry.key == "written.object" ? 1 : backing?.copies ?? 1)
        } + (places.objects.isLocal ? 0 : Double(counters["network.objectPut"] ?? 0) * places.objects.copies)
    }

    /// Bytes over wires by class; nil for what happens below a mount that cannot be seen.
    var network: [String: Double?] {
        Dictionary(
            uniqueKeysWithValues: NetworkClass.allCases.map { kind in
                let counted = Double(counters["network.\(kind.rawValue)"] ?? 0)
                guard kind == .volumeCopies else { return (kind.rawValue, counted) }
                if places.volume.hidesCopies { return (kind.rawValue, nil) }
                guard let backing else { return (kind.rawValue, counted) }
                let onVolume = counters.filter { $0.key.hasPrefix("written.") && $0.key != "written.object" }
                return (kind.rawValue, onVolume.reduce(0) { $0 + Double($1.value) } * backing.copies)
            })
    }

    var requests: [String: Double] {
        Dictionary(
            uniqueKeysWithValues: ObjectRequest.allCases.map { ($0.rawValue, Double(counters["requests.\($0.rawValue)"] ?? 0)) })
    }
}
