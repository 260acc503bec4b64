//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Glibc
internal import Metering

/// A whole comparison: one mode after the other on the same disk, then one result.
package struct CompareRun {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    private let plan: ComparePlan
    private let objectStore: any ObjectStoreAccess
    private let progress: Progress

    package init(_ plan: ComparePlan, objectStore: any ObjectStoreAccess, progress: Progress) {
        self.plan = plan
        self.objectStore = objectStore
        self.progress = progress
    }

    package func execute() async throws -> CompareResult {
        let startedAt = Date()
        let sheets = try plan.priceSheets.map { name throws(PriceSheetError) in try PriceSheet.named(name) }
        try checkSpace()
        // Now, and not after the minutes that a mode without objects takes.
        if let url = plan.objectStoreURL, let mode = plan.modes.first(where: ModePlaces.usesObjects) {
            // A directory where it will be removed again; an endpoint as the user knows it.
            let objects = ModePlaces(plan, mode: mode).objects
            try await objectStore.check(objects.isLocal ? objects.url : url)
        }
        var modes: [ModeResult] = []
        var properties: [String: [String: String]] = [:]
        for mode in plan.modes {
            let places = ModePlaces(plan, mode: mode)
            properties[mode] = places.reportedProperties
            Self.removeData(places)
            var result = try await ModeRun.execute(plan, mode: mode, progress: progress)
            price(&result, sheets: sheets, places: places)
            modes.append(result)
            if !plan.keep {
                Self.removeData(places)
                // What was measured is not lost with what could not be removed.
                do { try await Self.removeObjects(places, mode: mode, objectStore) } catch { progress("\(mode): \(error)") }
            }
        }
        let places = ModePlaces(plan, mode: plan.modes[0])
        let objects = ModePlaces(plan, mode: plan.modes.first(where: ModePlaces.usesObjects) ?? plan.modes[0]).objects
        let formatter = ISO8601DateFormatter()
        return CompareResult(
            startedAt: formatter.string(from: startedAt), seconds: progress.seconds,
            environment: EnvironmentCapture.probe(
                version: plan.version, dataDirectory: plan.dataDirectory, commandLine: plan.commandLine),
            workload: plan.workload,
            volume: StoreSummary(
                spec: plan.volume ?? "replicated:3:\(plan.dataDirectory)/MODE/volume",
                copies: modes.lazy.compactMap { $0.storage?.volumeCopies }.first ?? Double(places.volume.ownCopies),
                basis: places.volume.basis, backing: plan.backing,
                fileSystem: MountPoint.of(places.volume.directory)?.type),
            objectStore: ObjectStoreSummary(
                url: plan.objectStoreURL ?? "file://\(plan.dataDirectory)/MODE/objects?copies=3", copies: objects.copies,
                basis: objects.basis),
            settings: RunSettings(
                brokers: plan.brokers, sessionTimeoutSeconds: Double(plan.sessionTimeoutMilliseconds) / 1_000,
                scenarios: plan.scenarios.map(\.rawValue), quick: plan.quick, properties: properties), modes: modes)
    }

    private func price(_ result: inout ModeResult, sheets: [PriceSheet], places: ModePlaces) {
        guard
            let usage = CostScaling.usage(
                of: result, workload: plan.workload, volumeCopies: result.storage?.volumeCopies ?? Double(places.volume.ownCopies),
                objectCopies: places.objects.copies, brokers: plan.brokers)
        else {
            result.notMeasured["cost"] = "needs the footprint scenario"
            return
        }
        for sheet in sheets {
            do throws(PriceSheetError) { result.cost.append(try sheet.cost(of: usage)) } catch {
                result.notMeasured["cost \(sheet.name)"] = error.description
            }
        }
    }

    private func checkSpace() throws {
        try FileManager.default.createDirectory(atPath: plan.dataDirectory, withIntermediateDirectories: true)
        var status = statvfs()
        guard statvfs(plan.dataDirectory, &status) == 0 else { return }
        let free = Int64(status.f_bavail) * Int64(status.f_frsize)
        guard plan.volume != nil || free >= plan.diskBytesNeeded else {
            throw Failure(
                description:
                    "\(plan.dataDirectory): \(Format.bytes(Double(free))) free, the comparison needs up to \(Format.bytes(Double(plan.diskBytesNeeded))); free some, choose another --data-dir, or use --quick"
            )
        }
    }

    private static func removeData(_ places: ModePlaces) {
        for directory in [places.directory] + places.outsideDirectories { try? FileManager.default.removeItem(atPath: directory) }
    }

    private static func removeObjects(_ places: ModePlaces, mode: String, _ objectStore: any ObjectStoreAccess) async throws {
        guard ModePlaces.usesObjects(mode), !places.objects.isLocal else { return }
        do { try await objectStore.removeAll(below: places.objects.url) } catch {
            throw Failure(description: "\(error); objects of this run may be left below \(places.objects.url)")
        }
    }

    /// Removes the directories that a run may have left: for the end and for Ctrl-C.
    package static func clean(_ plan: ComparePlan) {
        guard !plan.keep else { return }
        for mode in plan.modes {
            let places = ModePlaces(plan, mode: mode)
            removeData(places)
            try? FileManager.default.removeItem(atPath: places.runDirectory)
        }
        // Only if nothing else is in them.
        rmdir("\(plan.dataDirectory)/run")
        rmdir(plan.dataDirectory)
    }

    /// Removes the objects that a run which did not end well may have left at an endpoint.
    ///
    /// - Returns: Where some may be left; empty if all is gone.
    package static func cleanObjects(_ plan: ComparePlan, _ objectStore: any ObjectStoreAccess) async -> [String] {
        guard !plan.keep else { return [] }
        var left: [String] = []
        for mode in plan.modes {
            let places = ModePlaces(plan, mode: mode)
            do { try await removeObjects(places, mode: mode, objectStore) } catch { left.append(places.objects.url) }
        }
        return left
    }

    /// Writes `comparison.json` and `report.html`, each whole or not at all.
    package static func write(_ result: CompareResult, to directory: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try result.encoded().write(to: URL(fileURLWithPath: "\(directory)/comparison.json"), options: .atomic)
            try Data(HTMLReport(result).html.utf8).write(to: URL(fileURLWithPath: "\(directory)/report.html"), options: .atomic)
        } catch {
            throw Failure(
                description: "\(directory): cannot write the report (\(error.localizedDescription)); choose another --output")
        }
    }
}

extension CompareRun {
    /// Copies the brokers' and the load generator's logs beside where the report would have gone, after a failed run.
    ///
    /// - Returns: The directory; nil if there was nothing to copy.
    package static func preserveLogs(_ plan: ComparePlan, to output: String) -> String? {
        let source = "\(plan.dataDirectory)/run", target = "\(output)/failed-run"
        guard FileManager.default.fileExists(atPath: source) else { return nil }
        try? FileManager.default.removeItem(atPath: target)
        try? FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        guard (try? FileManager.default.copyItem(atPath: source, toPath: target)) != nil else { return nil }
        return target
    }
}
