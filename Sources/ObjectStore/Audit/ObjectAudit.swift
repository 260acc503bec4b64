//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Holds what a store lists against what the metadata say, both ways.
///
/// Engines announce an object in the metadata before they put it, and delete it before they forget it. So an object that was listed
/// and that the metadata, read *after* the listing, do not know, nobody will ever know. It is an orphan: a put of a dead broker that
/// arrived after all had been cleaned up, or what a lost metadata store leaves behind. What seems to be missing is asked for once
/// more by itself, and the metadata once more whether they still want it, since the brokers go on meanwhile.
public struct ObjectAudit: Sendable {
    private let store: any ObjectStore
    private let mode: String
    private let prefixes: [String]
    private let graceMilliseconds: Int64
    private let nowMilliseconds: Int64

    private static let deleteBatch = 500

    /// - Parameters:
    ///   - prefixes: Everything below them is the engine's.
    ///   - graceMilliseconds: An unknown object is an orphan once it is older than this.
    ///   - nowMilliseconds: Wall clock, as the store's own.
    public init(
        _ store: any ObjectStore, mode: String, prefixes: [String], graceMilliseconds: Int64, nowMilliseconds: Int64
    ) {
        self.store = store
        self.mode = mode
        self.prefixes = prefixes
        self.graceMilliseconds = graceMilliseconds
        self.nowMilliseconds = nowMilliseconds
    }

    /// - Parameters:
    ///   - repairs: Orphans are removed. Nothing else is.
    ///   - expectations: Reads the metadata, up to three times.
    public func run(repairs: Bool, expectations: () async throws -> ObjectExpectations) async throws -> ObjectAuditReport {
        var report = ObjectAuditReport(mode: mode)
        let before = try await expectations()
        var unseen = Set(before.objects.filter { if case .committed = $0.value.state { true } else { false } }.keys)
        var unknown: [ObjectInfo] = []
        var differing: [String: Int64] = [:]
        var knownObjects = 0
        for prefix in prefixes {
            try await forEachObject(below: prefix) { object in
                report.objects += 1
                report.bytes += object.size
                guard let expected = before.objects[object.key] else {
                    if !before.knows(object.key) { unknown.append(object) } else { knownObjects += 1 }
                    return
                }
                knownObjects += 1
                unseen.remove(object.key)
                if case .committed(let size?) = expected.state, size != object.size { differing[object.key] = object.size }
            }
        }
        for expected in before.objects.values {
            switch expected.state {
            case .committed: report.committed += 1
            case .announced: report.announced += 1
            case .dying: report.awaitingDeletion += 1
            }
        }
        let uploads = try await abandonedUploads(&report)
        if unknown.isEmpty, unseen.isEmpty, differing.isEmpty, uploads.isEmpty { return report }

        let after = try await expectations()
        let orphans = unknown.filter { !after.knows($0.key) }
        knownObjects += unknown.count - orphans.count
        for object in orphans {
            let age = object.modifiedMilliseconds.map { nowMilliseconds - $0 }
            guard let age, age >= graceMilliseconds else {
                report.tooYoung += 1
                continue
            }
            report.findings.append(ObjectFinding(.orphan, object.key, bytes: object.size, ageSeconds: Double(age) / 1_000))
        }
        report.findings += try await confirmed(missing: unseen, differing: differing, expectations)
        if repairs { try await repair(&report, knownObjects: knownObjects, after) }
        for upload in uploads {
            // What the metadata announce may be under way, and is its announcer's to end.
            switch after.objects[upload.key]?.state {
            case .announced: continue
            case nil where after.knows(upload.key): continue
            default: break
            }
            var finding = ObjectFinding(
                .unfinishedUpload, upload.key, bytes: nil, ageSeconds: age(upload).map { Double($0) / 1_000 })
            if repairs, knownObjects > 0 || after.knew(upload.key) {
                try await store.abortUpload(upload)
                finding.isRemoved = true
            }
            report.findings.append(finding)
        }
        report.findings.sort { ($0.kind.rawValue, $0.key) < ($1.kind.rawValue, $1.key) }
        return report
    }

    private func age(_ upload: UnfinishedUpload) -> Int64? { upload.begunMilliseconds.map { nowMilliseconds - $0 } }

    /// Uploads older than the grace. A store that does not list them is no reason to audit nothing.
    private func abandonedUploads(_ report: inout ObjectAuditReport) async throws -> [UnfinishedUpload] {
        var abandoned: [UnfinishedUpload] = []
        do throws(ObjectStoreError) {
            for prefix in prefixes {
                let uploads = try await store.unfinishedUploads(prefix: prefix)
                report.unfinishedUploads += Int64(uploads.count)
                abandoned += uploads.filter { age($0).map { $0 >= graceMilliseconds } ?? false }
            }
        } catch {
            switch error.code {
            case .unsupported, .forbidden, .other: report.uploadsProblem = "\(error)"
            default: throw error
            }
        }
        return abandoned
    }

    private func forEachObject(below prefix: String, _ body: (ObjectInfo) -> Void) async throws {
        var last: String?
        while true {
            let page = try await store.list(prefix: prefix, startAfter: last, maxKeys: 1_000)
            page.objects.forEach(body)
            guard page.isTruncated, let end = page.objects.last?.key else { return }
            last = end
        }
    }

    /// Of what seemed to be missing or of another size, what still is, while the metadata still want it.
    private func confirmed(
        missing: Set<String>, differing: [String: Int64], _ expectations: () async throws -> ObjectExpectations
    ) async throws -> [ObjectFinding] {
        var found: [String: ObjectInfo?] = [:]
        for key in missing.union(differing.keys) { found.updateValue(try await store.info(key), forKey: key) }
        guard !found.isEmpty else { return [] }
        let wanted = try await expectations().objects
        var findings: [ObjectFinding] = []
        for (key, object) in found {
            guard let expected = wanted[key], case .committed(let size) = expected.state else { continue }
            if let object {
                guard let size, object.size != size else { continue }
                findings.append(
                    ObjectFinding(.sizeMismatch, key, bytes: object.size, expectedBytes: size, holds: expected.holds))
            } else {
                findings.append(ObjectFinding(.missing, key, bytes: nil, expectedBytes: size, holds: expected.holds))
            }
        }
        return findings
    }

    /// Orphans are removed where the metadata know another object of the store, or have known these: else both may be other clusters'.
    private func repair(_ report: inout ObjectAuditReport, knownObjects: Int, _ expectations: ObjectExpectations) async throws {
        let orphans = report.findings.indices.filter { report.findings[$0].kind == .orphan }
        let ours = knownObjects > 0 ? orphans : orphans.filter { expectations.knew(report.findings[$0].key) }
        if ours.count < orphans.count {
            report.refusal =
                "of the \(report.objects) \(mode) objects none is known to this metadata store, which may be another cluster's; \(orphans.count - ours.count) were left where they are"
        }
        var rest = ours[...]
        while !rest.isEmpty {
            let some = rest.prefix(Self.deleteBatch)
            rest = rest.dropFirst(some.count)
            try await store.delete(some.map { report.findings[$0].key })
            for index in some { report.findings[index].isRemoved = true }
        }
    }
}
