//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Comparison
internal import Foundation
internal import Metering

struct CostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cost", abstract: "Prices the modes of an earlier comparison with other sheets, without running anything.")

    @Argument(help: "comparison.json of an earlier run: its counts are priced.") var result: String
    @Option(help: "Price sheets by name or file, separated by commas.") var prices = PriceSheet.shippedNames.joined(separator: ",")

    func run() async throws {
        let comparison = try CompareResult.read(result)
        for name in prices.split(separator: ",").map(String.init) {
            let sheet: PriceSheet
            do { sheet = try PriceSheet.named(name) } catch { throw CommandFailure("\(error)") }
            print("\(sheet.name) (retrieved \(sheet.retrieved)), a month of 730 h, kept \(CostScaling.retentionHours) h  [C]")
            for mode in comparison.modes {
                guard
                    let usage = CostScaling.usage(
                        of: mode, workload: comparison.workload, volumeCopies: comparison.volume.copies,
                        objectCopies: comparison.objectStore.copies, brokers: comparison.settings.brokers)
                else {
                    print("  \(mode.mode): not measured (the run had no footprint scenario)")
                    continue
                }
                do {
                    let cost = try sheet.cost(of: usage)
                    let items = cost.items.filter { $0.quantity > 0 }.map {
                        "\($0.role.rawValue) \(Format.money($0.amount, cost.currency))"
                    }
                    let missing = cost.notPriced.isEmpty ? "" : "; no price for \(cost.notPriced.joined(separator: ", "))"
                    print(
                        "  \(mode.mode): \(Format.money(cost.perMonth, cost.currency)) = \(items.joined(separator: " + "))\(missing)"
                    )
                } catch { print("  \(mode.mode): \(error)") }
            }
        }
    }
}

extension CompareResult {
    static func read(_ path: String) throws -> CompareResult {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandFailure("\(path): cannot be read; give a comparison.json")
        }
        guard let result = try? JSONDecoder().decode(CompareResult.self, from: data) else {
            throw CommandFailure("\(path): not a whole comparison.json of this version (\(schemaName)); run compare anew")
        }
        guard result.schema == schemaName else {
            throw CommandFailure("\(path): schema \(result.schema); this program reads \(schemaName)")
        }
        return result
    }
}
