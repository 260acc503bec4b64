//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Whose replication a throttle holds back, of one topic's replicas: `leader.replication.throttled.replicas` and
/// `follower.replication.throttled.replicas` (KIP-73).
public enum ThrottledReplicas: Sendable, Hashable {
    case all
    /// Partition by partition, the brokers whose replica it is; none for an empty setting.
    case only([Int32: Set<Int32>])

    public static var none: ThrottledReplicas { .only([:]) }

    /// - Parameter text: `*`, or `partition:broker` pairs with commas between; empty for none.
    /// - Returns: nil for anything else.
    public init?(_ text: String) {
        let items = text.split(separator: ",").map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
        if items.count == 1, items[0].prefix(while: { $0 != " " }) == "*" {
            self = .all
            return
        }
        var pairs: [Int32: Set<Int32>] = [:]
        for item in items {
            let parts = item.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let partition = Int32(parts[0]), let broker = Int32(parts[1].prefix { $0 != " " }),
                partition >= 0,
                broker >= 0
            else { return nil }
            pairs[partition, default: []].insert(broker)
        }
        self = .only(pairs)
    }

    public func contains(_ partition: Int32, on broker: Int32) -> Bool {
        switch self {
        case .all: true
        case .only(let pairs): pairs[partition]?.contains(broker) ?? false
        }
    }
}
