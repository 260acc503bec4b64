//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import Foundation
import LogModel
import ObjectStore
import RuntimeEnvironment
import SimulationKit

/// Lets faults begin and end. Touched on the loop's thread only.
final class FaultDriver: @unchecked Sendable {
    private unowned let world: ClusterWorld
    private let clientNames: [String]
    /// A power cut takes what a broker has not synced. With replicated logs, what was acknowledged then rests on the other in-sync
    /// replicas, and if these count as dead before the first does, it alone is left in the in-sync set and its loss is the cluster's, as
    /// in Kafka. So until it is in sync again, nothing else begins that could end another one's lease.
    private var powerless: Int32?
    /// Faults under way that may end a lease.
    private var threats = 0
    /// Disks whose syncs make nothing durable.
    private var liars = 0
    private var open = 0

    init(world: ClusterWorld, clientNames: [String]) {
        self.world = world
        self.clientNames = clientNames
    }

    func run(_ schedule: FaultSchedule) async {
        let begin = world.clock.now()
        for fault in schedule.faults {
            try? await world.clock.sleep(until: begin + fault.at)
            open += 1
            Task {
                self.world.event("fault: \(fault.kind) for \(fault.lasts.inMilliseconds) ms")
                await self.perform(fault)
                self.world.event("fault over: \(fault.kind)")
                self.open -= 1
            }
        }
        while open > 0 { try? await world.clock.sleep(for: .milliseconds(50)) }
    }

    private func perform(_ fault: Fault) async {
        guard world.mode != .shared, fault.kind.mayEndLease else { return await perform(alone: fault) }
        while powerless != nil { try? await world.clock.sleep(for: .milliseconds(100)) }
        threats += 1
        await perform(alone: fault)
        // Until the cluster has noticed.
        try? await world.clock.sleep(for: .seconds(3))
        threats -= 1
    }

    private func perform(alone fault: Fault) async {
        func last() async { try? await world.clock.sleep(for: fault.lasts) }
        switch fault.kind {
        case .kill(let id): world.broker(id).crash(.processKill)
        case .killAtDiskCall(let id, let calls):
            let broker = world.broker(id)
            _ = await afterDiskCalls(calls, of: id, within: fault.lasts) { broker.crash(.processKill) }
        case .powerCut(let id): await cutPower(id)
        case .powerCutAtDiskCall(let id, let calls): await cutPower(id, afterDiskCalls: calls, within: fault.lasts)
        case .powerCutOfAll: await cutPowerOfAll()
        case .rot(let id): await rot(id)
        case .stopInOrder(let id):
            await world.broker(id).stop()
            await last()
            world.broker(id).goesOn()
        case .stall(let id):
            let process = world.broker(id).process
            process?.stall()
            world.tally.add(.stalled)
            await last()
            if process?.life == .stalled, world.metadata.now(prefix: MetadataKey.broker(BrokerID(id))).isEmpty {
                world.tally.add(.zombie)
            }
            process?.goOn()
        case .cut(let source, let target): await cut([.init(source: source, target: target)], last)
        case .cutBothWays(let one, let other):
            await cut([.init(source: one, target: other), .init(source: other, target: one)], last)
        case .isolate(let id):
            let name = ClusterWorld.name(of: id)
            let others = ClusterWorld.brokerIDs.filter { $0 != id }.map { ClusterWorld.name(of: $0) } + clientNames
            await cut(others.flatMap { [.init(source: name, target: $0), .init(source: $0, target: name)] }, last)
        case .slowLink(let source, let target):
            let link = ClusterNetwork.Link(source: source, target: target)
            world.network.slowDown(link, by: .milliseconds(900))
            await last()
            world.network.heal(link)
        case .metadataCut(let id):
            world.metadataLinks[id]?.isCut = true
            await last()
            world.metadataLinks[id]?.isCut = false
        case .metadataLosesReplies(let id):
            world.metadataLinks[id]?.lostReplyChance = 0.25
            await last()
            world.metadataLinks[id]?.lostReplyChance = 0
        case .clockJump(let id, let milliseconds):
            world.machines[id]?.wallShift += milliseconds
            world.tally.add(.clockJump)
        case .diskFull(let id):
            world.machines[id]?.disk.setCapacity(0)
            await last()
            world.machines[id]?.disk.setCapacity(nil)
        case .diskErrors(let id):
            let randomness = world.randomness.fork("disk-errors-\(id)-\(world.clock.now().nanoseconds)")
            world.machines[id]?.disk.setFault { [tally = world.tally] _ in
                guard randomness.chance(0.05) else { return nil }
                tally.add(.diskError)
                return .inputOutput
            }
            await last()
            world.machines[id]?.disk.setFault(nil)
            // What a failed sync may have lost, only a new start tells: the operator gives it one.
            world.broker(id).crash(.processKill)
        case .lyingSync(let id):
            world.machines[id]?.disk.setLiesAboutSync(true)
            liars += 1
            await last()
            await cutPower(id)
            world.machines[id]?.disk.setLiesAboutSync(false)
            liars -= 1
            // Without a power cut nobody ever knows; one that comes much later finds the cache written back.
            world.machines[id]?.disk.writeBack()
        case .objectStoreFails(let code): await objects(last, .objectFailed) { .fail(code) }
        case .objectStoreLosesReplies: await objects(last, .objectReplyLost) { .loseReply(.timedOut) }
        case .objectStoreIsLate: await objects(last, .objectLate) { .failThenApply(.timedOut, after: .milliseconds(1_500)) }
        case .objectStoreIsSlow: await objects(last, .objectSlow) { .delay(.milliseconds(1_500)) }
        case .objectStoreCut(let id):
            world.objectLinks[id]?.isCut = true
            await last()
            world.objectLinks[id]?.isCut = false
        case .staleLists:
            world.objectStore.setListDelay(.seconds(3))
            await last()
            world.objectStore.setListDelay(nil)
        }
    }

    private func cut(_ links: [ClusterNetwork.Link], _ last: () async -> Void) async {
        for link in links { world.network.cut(link) }
        await last()
        for link in links { world.network.heal(link) }
    }

    private func objects(_ last: () async -> Void, _ probe: Probe, _ fault: @escaping @Sendable () -> ObjectFault) async {
        let randomness = world.randomness.fork("objects-\(world.clock.now().nanoseconds)")
        world.objectStore.setFault { [tally = world.tally] _ in
            guard randomness.chance(0.4) else { return nil }
            tally.add(probe)
            return fault()
        }
        await last()
        world.objectStore.setFault(nil)
    }

    /// Does `body` in the middle of a call of the disk, `calls` from now.
    ///
    /// - Returns: Whether it came to that.
    private func afterDiskCalls(
        _ calls: Int, of id: Int32, within limit: Duration, _ body: @escaping () -> Void
    ) async -> Bool {
        guard let process = world.broker(id).process else { return false }
        var isDone = false
        process.atDiskCall = {
            isDone = true
            body()
        }
        process.diskCallsLeft = calls
        let deadline = world.clock.now() + limit
        while !isDone, !process.isDead, world.clock.now() < deadline { try? await world.clock.sleep(for: .milliseconds(50)) }
        process.diskCallsLeft = nil
        return isDone
    }

    /// - Parameter calls: Of the disk, before; nil for at once.
    private func cutPower(_ id: Int32, afterDiskCalls calls: Int? = nil, within limit: Duration = .zero) async {
        let broker = world.broker(id)
        guard world.mode != .shared else {
            guard let calls else { return broker.crash(.powerCut) }
            _ = await afterDiskCalls(calls, of: id, within: limit) { broker.crash(.powerCut) }
            return
        }
        guard powerless == nil, threats == 0, ClusterWorld.brokerIDs.allSatisfy({ world.broker($0).isServing }) else {
            return world.event("no power cut of \(id): another broker is in trouble")
        }
        powerless = id
        defer { powerless = nil }
        func cut() {
            guard othersHold(id) else { return world.event("no power cut of \(id): others do not hold its data") }
            broker.crash(.powerCut)
        }
        if let calls {
            guard await afterDiskCalls(calls, of: id, within: limit, cut) else { return }
        } else {
            cut()
        }
        let deadline = world.clock.now() + .seconds(60)
        while !isInSync(id), world.clock.now() < deadline { try? await world.clock.sleep(for: .milliseconds(200)) }
    }

    /// In `shared` nothing acknowledged may be lost by it, nor with replicated logs that sync each batch. Where they do not, as is Kafka's
    /// usual way, what no disk of the in-sync replicas was made to keep is lost, and the world is told how much.
    private func cutPowerOfAll() async {
        func cut() { for id in ClusterWorld.brokerIDs { world.broker(id).crash(.powerCut) } }
        world.tally.add(.powerCutOfAll)
        guard world.mode != .shared else { return cut() }
        guard powerless == nil, threats == 0, ClusterWorld.brokerIDs.allSatisfy({ world.broker($0).isServing }) else {
            return world.event("no power cut of all: a broker is in trouble")
        }
        // No single broker's unsynced bytes rest on another's any more.
        powerless = 0
        defer { powerless = nil }
        cut()
        // A sync that lies keeps nothing either.
        if !world.variant.syncsEachBatch || liars > 0 { world.lostMemory() }
        let deadline = world.clock.now() + .seconds(60)
        while !ClusterWorld.brokerIDs.allSatisfy({ isInSync($0) }), world.clock.now() < deadline {
            try? await world.clock.sleep(for: .milliseconds(200))
        }
    }

    private func rot(_ id: Int32) async {
        guard let disk = world.machines[id]?.disk else { return }
        if world.mode != .shared {
            guard powerless == nil, threats == 0, ClusterWorld.brokerIDs.allSatisfy({ world.broker($0).isServing }), othersHold(id)
            else { return world.event("nothing rots on \(id): another broker is in trouble") }
            powerless = id
        }
        let randomness = world.randomness.fork("rot-\(id)-\(world.clock.now().nanoseconds)")
        let files = disk.files(below: "").filter { $0.size > 0 }
        for _ in 0..<3 where !files.isEmpty {
            let file = files[Int(randomness.next(below: UInt64(files.count)))]
            let place = Int64(randomness.next(below: UInt64(file.size)))
            disk.corrupt(file.path, at: place)
            world.event("byte \(place) of \(file.path) on \(id) rots")
            world.tally.add(.rot)
        }
        world.rotten.insert(id)
        world.broker(id).crash(.processKill)
        guard world.mode != .shared else { return }
        let deadline = world.clock.now() + .seconds(20)
        while !isInSync(id), world.clock.now() < deadline { try? await world.clock.sleep(for: .milliseconds(200)) }
        powerless = nil
    }

    /// Whether each partition has an in-sync replica elsewhere.
    private func othersHold(_ id: Int32) -> Bool {
        world.partitions().allSatisfy { record in record.inSyncReplicas.contains { $0.rawValue != id } }
    }

    private func isInSync(_ id: Int32) -> Bool {
        guard world.broker(id).isServing else { return false }
        return world.partitions().allSatisfy { record in
            let wanted = record.replicas.contains { $0.rawValue == id }
            return !wanted || record.inSyncReplicas.contains { $0.rawValue == id }
        }
    }
}

extension ClusterWorld {
    /// As they are in the metadata store itself.
    func partitions() -> [PartitionRecord] {
        metadata.now(prefix: MetadataKey.partitions).compactMap {
            try? JSONDecoder().decode(PartitionRecord.self, from: Data($0.value))
        }
    }
}
