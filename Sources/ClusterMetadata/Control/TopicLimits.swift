//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What is refused before it can grow out of hand.
package enum TopicLimits {
    /// Partitions of one topic.
    package static let partitionsMax = 10_000
    /// Kafka's: a topic's name becomes part of file names.
    package static let nameLengthMax = 249
}
