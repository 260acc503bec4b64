//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel

/// Whose settings are meant: Kafka's resource types, as in DescribeConfigs and the two that alter.
enum ConfigResource {
    case topic(String)
    /// One broker, this or another: what is set of it while running is kept for all to see.
    case broker(BrokerID)
    /// What all brokers have in common.
    case allBrokers
    case brokerLogger
    case refused(ErrorCode, String)

    init(type: Int8, name: String) {
        switch type {
        case 2: self = .topic(name)
        case 4 where name.isEmpty: self = .allBrokers
        case 4:
            guard let number = Int32(name), number >= 0 else {
                self = .refused(.invalidRequest, "'\(name)' is no broker id")
                return
            }
            self = .broker(BrokerID(number))
        case 8: self = .brokerLogger
        default: self = .refused(.invalidRequest, "there are no settings of resource type \(type)")
        }
    }
}
