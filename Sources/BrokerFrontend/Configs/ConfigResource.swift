//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel

/// Whose settings are meant: Kafka's resource types, as in DescribeConfigs and the two that alter.
enum ConfigResource {
    case topic(String)
    /// This broker.
    case broker(BrokerID)
    /// What all brokers have in common.
    case allBrokers
    case brokerLogger
    case refused(ErrorCode, String)

    init(type: Int8, name: String, broker: BrokerID) {
        switch type {
        case 2: self = .topic(name)
        case 4 where name.isEmpty: self = .allBrokers
        case 4 where name == String(broker.rawValue): self = .broker(broker)
        case 4:
            self = .refused(.invalidRequest, "broker '\(name)' speaks for itself; this is broker \(broker)")
        case 8: self = .brokerLogger
        default: self = .refused(.invalidRequest, "there are no settings of resource type \(type)")
        }
    }
}
