//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ObjectStore

extension ClusterAudit {
    /// The audit as text.
    package var table: String {
        var lines: [String] = []
        for mode in modes {
            lines.append(
                "\(mode.mode): \(mode.objects) objects, \(mode.bytes) bytes; metadata name \(mode.committed) committed, \(mode.announced) announced, \(mode.awaitingDeletion) awaiting deletion"
            )
            if mode.tooYoung > 0 {
                lines.append("  \(mode.tooYoung) unknown to the metadata, younger than \(Int(graceSeconds)) s or of unknown age")
            }
            for finding in mode.findings { lines.append("  " + Self.line(finding)) }
            if let refusal = mode.refusal { lines.append("  not repaired: \(refusal)") }
        }
        let removed = findings.count { $0.isRemoved }
        lines.append(
            findings.isEmpty
                ? "Objects and metadata agree."
                : "\(findings.count) findings" + (removed > 0 ? ", \(removed) orphans removed" : ""))
        return lines.joined(separator: "\n")
    }

    private static func line(_ finding: ObjectFinding) -> String {
        let holds = finding.holds.isEmpty ? "" : ": " + finding.holds.map(\.text).joined(separator: ", ")
        let bytes = finding.bytes.map { "\($0) bytes" } ?? ""
        switch finding.kind {
        case .orphan:
            let age = finding.ageSeconds.map { ", \(Int($0)) s old" } ?? ""
            return "orphan\(finding.isRemoved ? ", removed" : "")  \(finding.key) (\(bytes)\(age))"
        case .missing: return "missing  \(finding.key)\(holds)"
        case .unfinishedUpload:
            return "unfinished upload\(finding.isRemoved ? ", ended" : "")  \(finding.key)"
        case .sizeMismatch:
            return
                "size  \(finding.key) has \(bytes), the metadata say \(finding.expectedBytes.map(String.init) ?? "nothing")\(holds)"
        }
    }
}
