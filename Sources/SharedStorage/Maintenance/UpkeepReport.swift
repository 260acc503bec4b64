//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Logging
package import Metering
package import RuntimeEnvironment
internal import Synchronization

/// Counts what goes wrong behind the writers, and says so in the log: for each task at most once in a while.
package final class UpkeepReport: Sendable {
    private struct Line {
        var said: MonotonicInstant
        var unsaid = 0
    }

    private static let pause: Duration = .seconds(60)

    private let meters: Meters
    private let clock: any Clock
    private let logger: Logger
    private let lines = Mutex<[UpkeepTask: Line]>([:])

    package init(meters: Meters, clock: any Clock, logger: Logger) {
        self.meters = meters
        self.clock = clock
        self.logger = logger
    }

    /// - Parameter what: A whole sentence's beginning, without the reason.
    package func failed(_ task: UpkeepTask, _ what: @autoclosure () -> String, _ error: any Error) {
        meters.upkeepFailures[task]?.add()
        let unsaid = lines.withLock { lines -> Int? in
            let now = clock.now()
            guard let line = lines[task], now < line.said + Self.pause else {
                defer { lines[task] = Line(said: now) }
                return lines[task]?.unsaid ?? 0
            }
            lines[task] = Line(said: line.said, unsaid: line.unsaid + 1)
            return nil
        }
        guard let unsaid else { return }
        var details: Logger.Metadata = ["error": "\(error)"]
        if unsaid > 0 { details["alsoSinceTheLastLine"] = "\(unsaid)" }
        logger.warning("\(what()); it is tried again", metadata: details)
    }
}
