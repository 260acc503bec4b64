//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Comparison
internal import Foundation

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "report", abstract: "Draws the report of a comparison.json anew.")

    @Argument(help: "comparison.json files.") var results: [String]
    @Option(help: "Where to write; each report is named after its result.") var output = "ninefold-report"

    func run() async throws {
        for path in results {
            let result = try CompareResult.read(path)
            let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
            let page = "\(output)/\(name == "comparison" ? "report" : name).html"
            do {
                try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
                try Data(HTMLReport(result).html.utf8).write(to: URL(fileURLWithPath: page), options: .atomic)
            } catch { throw CommandFailure("\(page): cannot be written (\(error.localizedDescription)); choose another --output") }
            print(page)
        }
    }
}
