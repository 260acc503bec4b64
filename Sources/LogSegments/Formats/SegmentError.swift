//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import RuntimeEnvironment

/// Why a log's files cannot be read or written.
package enum SegmentError: Error, Sendable, CustomStringConvertible {
    case disk(DiskError)
    /// Stored bytes contradict their checksum or each other; the text names file and place.
    case corrupt(String)
    /// Whole, but of a kind that is not read here; the text names file and place. Left as it is.
    case unsupported(String)
    /// The log's files were let go: the partition was closed or deleted.
    case closed

    package var description: String {
        switch self {
        case .disk(let error): error.description
        case .corrupt(let message), .unsupported(let message): message
        case .closed: "the log is closed"
        }
    }
}

/// Runs `body`, its disk errors as segment errors.
func onDisk<Value>(_ body: () throws(DiskError) -> Value) throws(SegmentError) -> Value {
    do { return try body() } catch { throw .disk(error) }
}
