//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A decoder that hostile bytes are thrown at, and what must hold of it whatever they are.
///
/// Run by `FuzzingTests` from a kept corpus and its mutations, and by libFuzzer through `Scripts/fuzz.sh`.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// A request's frame as a socket gives it, and its body as an answer's.
    case requests
    /// A produced buffer of record batches.
    case recordBatches = "record-batches"
    /// A partition's directory: its recovery, and what is read from it afterwards.
    case segments
    /// A write-ahead log's file.
    case writeAheadLog = "wal"
    /// An object of the shared engine.
    case objects
    /// A tiered segment's manifest.
    case manifests
    /// A broker's `server.properties`.
    case properties
    /// An OpenMessaging workload file.
    case workload

    /// - Throws: What does not hold. A decoder's own errors are answers, not findings; a crash is one by itself.
    package func run(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
        switch self {
        case .requests: try fuzzRequests(bytes)
        case .recordBatches: try fuzzRecordBatches(bytes)
        case .segments: try fuzzSegments(bytes)
        case .writeAheadLog: try fuzzWriteAheadLog(bytes)
        case .objects: try fuzzObjects(bytes)
        case .manifests: try fuzzManifests(bytes)
        case .properties: try fuzzProperties(bytes)
        case .workload: try fuzzWorkload(bytes)
        }
    }
}

/// A property that bytes broke.
package struct FuzzFinding: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// States a property.
func demand(_ holds: Bool, _ property: @autoclosure () -> String) throws(FuzzFinding) {
    guard holds else { throw FuzzFinding(property()) }
}
