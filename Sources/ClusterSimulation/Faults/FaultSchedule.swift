//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ObjectStore
import RuntimeEnvironment
import SimulationKit

/// The faults of a run, drawn from its seed before it begins, so that a failure can print them.
struct FaultSchedule: Sendable {
    var faults: [Fault] = []

    init(_ faults: [Fault]) { self.faults = faults.sorted { $0.at < $1.at } }

    /// - Parameter span: They begin within it.
    init(mode: StorageMode, mix: FaultMix, span: Duration, randomness: SeededRandomSource) {
        let draw = Draw(randomness: randomness)
        var kinds: [() -> Fault.Kind] = []
        if mix.contains(.crashes) {
            kinds += [
                { .kill(draw.broker()) }, { .kill(draw.broker()) }, { .killAtDiskCall(draw.broker(), draw.number(1...60)) },
                { .powerCut(draw.broker()) }, { .powerCutAtDiskCall(draw.broker(), draw.number(1...60)) },
                { .stall(draw.broker()) }, { .stall(draw.broker()) },
                { .stopInOrder(draw.broker()) }, { .powerCutOfAll },
            ]
        }
        if mix.contains(.network) {
            kinds += [
                {
                    let (from, to) = draw.pair()
                    return .cut(from: from, to: to)
                },
                {
                    let (from, to) = draw.pair()
                    return .cutBothWays(from, to)
                },
                { .isolate(draw.broker()) },
                {
                    // In `shared`, brokers have little to say to each other.
                    let client = draw.one(of: ["producer-0-0", "producer-1-1", "consumer-0", "committer"])
                    let (from, to) = draw.pair()
                    return .slowLink(from: mode == .shared || draw.number(1...2) == 1 ? client : from, to: to)
                },
            ]
        }
        if mix.contains(.metadata) {
            kinds += [
                { .metadataCut(draw.broker()) }, { .metadataLosesReplies(draw.broker()) },
                { .clockJump(draw.broker(), milliseconds: Int64(draw.number(-600_000...600_000))) },
            ]
        }
        if mix.contains(.disks) {
            kinds += [{ .diskFull(draw.broker()) }, { .diskErrors(draw.broker()) }]
            if mode != .shared { kinds += [{ .lyingSync(draw.broker()) }] }
            // Once it has, less can be asked of the run: in few of them.
            if draw.number(1...8) == 1 { kinds += [{ .rot(draw.broker()) }, { .rot(draw.broker()) }] }
        }
        if mix.contains(.objects), mode != .isr {
            kinds += [
                { .objectStoreFails(draw.one(of: [.slowDown, .timedOut, .unreachable])) }, { .objectStoreLosesReplies },
                { .objectStoreIsLate }, { .objectStoreIsSlow }, { .objectStoreCut(draw.broker()) }, { .staleLists },
            ]
        }
        guard !kinds.isEmpty else { return }
        func drawFault() -> Fault {
            let kind = draw.one(of: kinds)()
            let at = Duration.milliseconds(draw.number(0...Int(span.inMilliseconds)))
            // Shorter and longer than a session.
            let lasts = Duration.milliseconds(draw.number(100...6_000))
            return Fault(kind, at: at, lasts: lasts)
        }
        for _ in 0..<draw.number(1...7) { faults.append(drawFault()) }
        // A storm in one run of ten.
        if randomness.seed % 10 == 8 { for _ in 0..<draw.number(5...12) { faults.append(drawFault()) } }
        faults.sort { $0.at < $1.at }
    }

    private final class Draw {
        let randomness: SeededRandomSource
        init(randomness: SeededRandomSource) { self.randomness = randomness }

        func number(_ range: ClosedRange<Int>) -> Int {
            range.lowerBound + Int(randomness.next(below: UInt64(range.upperBound - range.lowerBound + 1)))
        }
        func one<Element>(of elements: [Element]) -> Element { elements[number(0...(elements.count - 1))] }
        func broker() -> Int32 { one(of: ClusterWorld.brokerIDs) }
        func pair() -> (String, String) {
            let first = broker()
            let others = ClusterWorld.brokerIDs.filter { $0 != first }
            return (ClusterWorld.name(of: first), ClusterWorld.name(of: one(of: others)))
        }
    }
}
