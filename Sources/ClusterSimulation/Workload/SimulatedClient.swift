//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit

/// A client's connection to the cluster: real request frames over the simulated network. Touched on the loop's thread only.
final class SimulatedClient: @unchecked Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let name: String
    unowned let world: ClusterWorld
    let randomness: SeededRandomSource
    private var leaders: [String: Int32] = [:]
    private var correlation: Int32 = 0

    init(name: String, world: ClusterWorld) {
        self.name = name
        self.world = world
        randomness = SeededRandomSource(seed: world.seed).fork("client-\(name)")
    }

    /// A request on its way: those to one broker arrive in the order in which they were sent.
    struct Pending<Request: KafkaRequest>: Sendable {
        fileprivate var call: ClusterNetwork.Call
        fileprivate var version: Int16

        func answer() async throws -> Request.Response {
            guard let answer = try await call.answer() else { throw Failure(description: "\(Request.name) was not answered") }
            return try decodeResponse(to: Request.self, version: version, frame: answer).response
        }
    }

    func send<Request: KafkaRequest>(
        _ request: Request, version: Int16, to broker: Int32, timeout: Duration = .seconds(3)
    ) throws -> Pending<Request> {
        correlation += 1
        let frame = try LogSlices(
            try encodeRequest(request, version: version, correlationID: correlation, clientID: name)
        ).contiguous()
        let call = world.network.send(
            from: name, to: ClusterWorld.name(of: broker), channel: "client", frame: frame, timeout: timeout)
        return Pending(call: call, version: version)
    }

    func ask<Request: KafkaRequest>(
        _ request: Request, version: Int16, of broker: Int32, timeout: Duration = .seconds(3)
    ) async throws -> Request.Response {
        try await send(request, version: version, to: broker, timeout: timeout).answer()
    }

    var anyBroker: Int32 { ClusterWorld.brokerIDs[Int(randomness.next(below: UInt64(ClusterWorld.brokerIDs.count)))] }

    /// A short wait before the next try.
    func pause() async { try? await world.clock.sleep(for: .milliseconds(Int64(20 + randomness.next(below: 200)))) }

    // MARK: Metadata

    func leader(of topic: String, _ partition: Int32) async throws -> Int32 {
        if let known = leaders["\(topic)-\(partition)"] { return known }
        let answer = try await ask(
            MetadataRequest(topics: [.init(name: topic)], allowAutoTopicCreation: false), version: 9, of: anyBroker)
        for described in answer.topics.first?.partitions ?? [] where described.leaderId >= 0 {
            leaders["\(topic)-\(described.partitionIndex)"] = described.leaderId
        }
        guard let leader = leaders["\(topic)-\(partition)"] else {
            throw Failure(description: "\(topic)-\(partition) has no leader")
        }
        return leader
    }

    func forgetLeader(of topic: String, _ partition: Int32) { leaders["\(topic)-\(partition)"] = nil }
}
