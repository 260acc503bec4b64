//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
public import RuntimeEnvironment

/// An engine and the storage it lives on, as the suite needs them. One is made for each case.
public protocol EngineUnderTest: AnyObject, Sendable {
    /// The broker that the engine is made for: leader, and the only replica, of every partition but where a case says otherwise.
    var brokerID: BrokerID { get }
    var environment: RuntimeEnvironment { get }

    /// An engine that is not yet started, over the storage as an earlier one left it.
    func makeEngine() async throws -> any LogEngine

    /// Ends `engine` as `kill -9` ends a process: what was handed to the storage stays there, nothing it does later arrives.
    func kill(_ engine: any LogEngine) async throws

    /// Ends `engine` as a power cut does: what was not synced is lost or torn. Called only with ``EngineTraits/survivesPowerCut``.
    func cutPower(_ engine: any LogEngine) async throws

    /// Frees the storage. The last call.
    func tearDown() async
}

extension EngineUnderTest {
    public func cutPower(_ engine: any LogEngine) async throws { try await kill(engine) }
    public func tearDown() async {}
}

/// What an engine, on the storage it is tested with, promises beyond what all do. Decides which cases are listed.
public struct EngineTraits: Sendable {
    /// What is acknowledged with acks all survives a power cut of the only replica.
    public var survivesPowerCut = false
    /// Appends with acks all need `min.insync.replicas` members in the set.
    public var enforcesMinInSyncReplicas = false
    /// Places at which ``PartitionLog/physicalCopies(of:)`` must find each record; 0 where the storage has no paths.
    public var physicalCopies = 1

    /// What ``LogEngine/footprint()`` tells leaves out what lies in stores that brokers share; the engine has a call of its own for that.
    public var sharesStores = false

    public init() {}
}
