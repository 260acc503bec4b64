//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ObjectStore
import RuntimeEnvironment
import SimulationKit

/// One thing that goes wrong, and for how long.
package struct Fault: Sendable, CustomStringConvertible {
    package enum Kind: Sendable {
        /// `kill -9`, between two steps of any tasks.
        case kill(Int32)
        /// `kill -9` in the middle of what the process does to its disk, so many calls from now.
        case killAtDiskCall(Int32, Int)
        /// What was not synced is lost or torn.
        case powerCut(Int32)
        /// The same in the middle of a job.
        case powerCutAtDiskCall(Int32, Int)
        /// Of all brokers at once.
        case powerCutOfAll
        /// The process ends in order, and stays away for a while.
        case stopInOrder(Int32)
        /// Bytes of the machine's files change by themselves, in the middle of the run, and its process dies.
        case rot(Int32)
        /// The process stands still, and then goes on as if nothing had been: a zombie, if its lease has ended meanwhile.
        case stall(Int32)
        /// Requests from the first to the second do not arrive.
        case cut(from: String, to: String)
        case cutBothWays(String, String)
        /// Neither peers nor clients reach the broker, nor it them.
        case isolate(Int32)
        case slowLink(from: String, to: String)
        /// The broker does not reach the metadata store: its lease ends if it lasts.
        case metadataCut(Int32)
        case metadataLosesReplies(Int32)
        /// The wall clock is set, in either direction.
        case clockJump(Int32, milliseconds: Int64)
        /// No room but what is freed meanwhile.
        case diskFull(Int32)
        /// One call in so many fails.
        case diskErrors(Int32)
        /// Syncs succeed and make nothing durable; then the power goes. Only where others hold the data: a log of one copy on such a disk
        /// is lost, and nothing can know it.
        case lyingSync(Int32)
        case objectStoreFails(ObjectStoreError.Code)
        /// Requests are carried out, their answers lost.
        case objectStoreLosesReplies
        /// Answered with an error at once, carried out later.
        case objectStoreIsLate
        case objectStoreIsSlow
        case objectStoreCut(Int32)
        /// Lists do not show what was put of late.
        case staleLists

        /// Whether a broker may count as dead because of it. (A power cut does too, and looks after itself.)
        var mayEndLease: Bool {
            switch self {
            case .kill, .killAtDiskCall, .stall, .stopInOrder, .metadataCut, .metadataLosesReplies, .diskErrors: true
            default: false
            }
        }
    }

    package var kind: Kind
    /// After the workload's begin.
    package var at: Duration
    package var lasts: Duration

    package init(_ kind: Kind, at: Duration, lasts: Duration = .zero) {
        self.kind = kind
        self.at = at
        self.lasts = lasts
    }

    package var description: String { "\(at.inMilliseconds) ms: \(kind), for \(lasts.inMilliseconds) ms" }
}

/// Which faults a seed brings.
package struct FaultMix: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    package static let crashes = FaultMix(rawValue: 1)
    package static let network = FaultMix(rawValue: 2)
    package static let metadata = FaultMix(rawValue: 4)
    package static let disks = FaultMix(rawValue: 8)
    package static let objects = FaultMix(rawValue: 16)
    package static let all: FaultMix = [.crashes, .network, .metadata, .disks, .objects]
}
