//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation

/// One row in one mode: a line of `bench.jsonl`.
package struct SuiteResult: Codable, Sendable, Hashable {
    package static let schemaName = "ninefold/bench-suite/1"

    package struct JudgedMark: Codable, Sendable, Hashable {
        package var mark: SuiteRow.Mark
        /// The median; null if the figure was not measured.
        @OrNull package var measured: Double?
        @OrNull package var isReached: Bool?

        package init(_ mark: SuiteRow.Mark, _ figures: Figures) {
            self.mark = mark
            measured = figures.median(mark.figure)
            isReached = measured.map { $0 <= mark.atMost }
        }
    }

    package var schema = SuiteResult.schemaName
    package var row: String
    package var title: String
    package var mode: String
    /// ISO 8601, UTC.
    package var startedAt: String
    /// Of the sources, with `+` if they differ from it.
    package var commit: String
    package var machine: EnvironmentCapture
    /// Of the brokers and topics.
    package var settings: [String: String]
    /// Runs that ended.
    package var repeats = 0
    package var figures = Figures()
    /// What the machine did beside the runs, before and after each.
    package var limits = Figures()
    package var marks: [JudgedMark] = []
    /// What was not measured, and why.
    package var notMeasured: [String: String] = [:]

    package init(
        row: SuiteRow, mode: String, startedAt: String, commit: String, machine: EnvironmentCapture, settings: [String: String]
    ) {
        self.row = row.name
        self.title = row.title
        self.mode = mode
        self.startedAt = startedAt
        self.commit = commit
        self.machine = machine
        self.settings = settings
    }

    /// Holds the figures against the marks.
    package mutating func judge(_ marks: [SuiteRow.Mark]) { self.marks = marks.map { JudgedMark($0, figures) } }

    package func line() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self) + Data("\n".utf8)
    }
}
