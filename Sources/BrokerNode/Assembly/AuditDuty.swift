//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import Logging
internal import ObjectStore
internal import RuntimeEnvironment

/// The audit as a duty of the cluster: now and then, by whichever broker is the controller.
struct AuditDuty: Sendable {
    let store: any ObjectStore
    let metadata: any MetadataStore
    let interval: Duration
    let grace: Duration
    let clock: any Clock
    let logger: Logger
    /// Whether it is this broker's turn.
    let isController: @Sendable () -> Bool

    /// Findings told one by one; the others only as a number.
    private static let toldMax = 20

    /// Runs until the task is cancelled. Nothing is done before one interval is over.
    func run() async {
        while true {
            do { try await clock.sleep(for: interval) } catch { return }
            guard isController() else { continue }
            do {
                for report in try await ObjectAuditTool.modes(
                    store: store, metadata: metadata, clock: clock, repairs: true, grace: grace)
                {
                    tell(report)
                }
            } catch {
                logger.warning("Objects could not be audited; tried again later", metadata: ["error": "\(error)"])
            }
        }
    }

    private func tell(_ report: ObjectAuditReport) {
        for finding in report.findings.prefix(Self.toldMax) {
            let metadata: Logger.Metadata = [
                "mode": "\(report.mode)", "key": "\(finding.key)", "holds": "\(finding.holds.map(\.text).joined(separator: ", "))",
            ]
            switch finding.kind {
            case .orphan where finding.isRemoved: logger.notice("An object that no metadata name was removed", metadata: metadata)
            case .unfinishedUpload where finding.isRemoved:
                logger.notice("An upload that nobody would have completed was ended", metadata: metadata)
            case .unfinishedUpload: logger.warning("An upload was begun and not completed", metadata: metadata)
            case .orphan: logger.warning("An object is named by no metadata", metadata: metadata)
            case .missing: logger.error("An object that the metadata name is not in the store", metadata: metadata)
            case .sizeMismatch: logger.error("An object has another size than the metadata say", metadata: metadata)
            }
        }
        if report.findings.count > Self.toldMax {
            logger.warning(
                "More was found by the audit of objects; run ninefold audit to see all",
                metadata: ["mode": "\(report.mode)", "findings": "\(report.findings.count)"])
        }
        if let refusal = report.refusal { logger.warning("\(refusal)") }
    }
}

extension HeldOffsets {
    /// `orders-3 [100, 250)`
    package var text: String { "\(topic)-\(partition) [\(startOffset), \(endOffset))" }
}
