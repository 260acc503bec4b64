//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ClusterMetadata
package import KafkaProtocol
package import LogEngine
package import LogModel
package import Logging
package import Metering
package import RuntimeEnvironment

/// Answers Kafka's requests, above the log interface: it knows partitions' logs, not the engines they belong to.
package final class Frontend: RequestDispatcher {
    /// The length before each frame, which goes over the wire too.
    static let lengthPrefixBytes = 4

    package let brokerID: BrokerID
    package let configuration: FrontendConfiguration
    let logs: any LogProvider
    let metadata: MetadataCache
    let operations: MetadataOperations
    let environment: RuntimeEnvironment
    let meters: Meters
    let logger: Logger
    let timers: DeadlineTimers
    let purgatory = FetchPurgatory()
    let remoteReads: RemoteReads
    let fetchSessions: FetchSessions
    let groups: GroupCoordinator
    let producerIDs: ProducerIDs

    /// - Parameters:
    ///   - metadata: Started; it stays its owner's.
    ///   - operations: What changes topics, partitions and settings.
    package init(
        brokerID: BrokerID, configuration: FrontendConfiguration, logs: any LogProvider, metadata: MetadataCache,
        operations: MetadataOperations, environment: RuntimeEnvironment, meters: Meters, logger: Logger
    ) {
        self.brokerID = brokerID
        self.configuration = configuration
        self.logs = logs
        self.metadata = metadata
        self.operations = operations
        self.environment = environment
        self.meters = meters
        self.logger = logger
        timers = DeadlineTimers(clock: environment.clock)
        remoteReads = RemoteReads(pendingMax: configuration.remoteReadsMax)
        fetchSessions = FetchSessions(slots: configuration.fetchSessionSlots, environment: environment)
        groups = GroupCoordinator(
            configuration: configuration, clock: environment.clock, timers: timers,
            worker: environment.workers.makeWorker(named: "group-load"), logger: logger)
        producerIDs = ProducerIDs(operations: operations)
    }

    package func dispatch(_ request: RequestFrame, from connection: ConnectionInfo) -> RequestOutcome {
        let entry = HandlerTable.entry(for: request.apiKey)
        meters.count(Int64(request.frameSizeInBytes + Self.lengthPrefixBytes), as: entry?.requestClass ?? .control)
        let context = RequestContext(
            frontend: self, connection: connection, version: request.apiVersion, correlationID: request.correlationID,
            clientID: request.clientID)
        guard let entry else { return .closeConnection(reason: "there is no API with key \(request.apiKey)") }
        guard entry.versions.contains(request.apiVersion) else {
            if request.apiKey == ApiVersionsRequest.apiKey,
                let frame = context.at(version: 0).frame(ApiVersionsHandler.refusal, as: .control)
            {
                return .respond(frame)
            }
            return .closeConnection(
                reason: "\(entry.name) version \(request.apiVersion) is not served (\(entry.versions.lowerBound) to "
                    + "\(entry.versions.upperBound) are)")
        }
        return entry.begin(request, context)
    }

    /// `remote.fetch.max.wait.ms`, as the cluster has it now (KIP-1018).
    func remoteFetchWaitMax(_ image: MetadataImage) -> Duration {
        image.brokerConfig("remote.fetch.max.wait.ms", of: brokerID).flatMap { Int64($0) }.map { .milliseconds($0) }
            ?? configuration.remoteFetchWaitMax
    }

    // MARK: What the broker tells

    package var fetchSessionCounts: FetchSessionCounts { fetchSessions.counts }

    /// An engine has applied an assignment: the broker now holds `log` of the partition, or nothing. To be called after each, in
    /// their order.
    package func partitionChanged(_ partition: PartitionID, log: (any PartitionLog)?) {
        if let log {
            let list = purgatory.list(for: partition)
            log.setProgressListener { _ in list.poke() }
            // Whoever waits may have waited for another leader.
            list.poke()
        } else {
            purgatory.drop(partition)
        }
        if partition.topic == GroupCoordinator.topic {
            if let log, log.assignment.leader == brokerID {
                groups.lead(partition.partition, log: log, epoch: log.assignment.leaderEpoch)
            } else {
                groups.resign(partition.partition)
            }
        }
    }

    /// Answers what waits, as if its time were up. Requests that come later find no groups and wait for nothing.
    package func shutdown() async {
        groups.shutdown()
        timers.stop()
    }
}
