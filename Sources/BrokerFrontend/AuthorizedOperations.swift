//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What anybody may do while there is no authorizer: bits by Kafka's `AclOperation` codes.
enum AuthorizedOperations {
    private static func bits(_ operations: [Int32]) -> Int32 { operations.reduce(0) { $0 | 1 << $1 } }

    private static let read: Int32 = 3
    private static let write: Int32 = 4
    private static let create: Int32 = 5
    private static let delete: Int32 = 6
    private static let alter: Int32 = 7
    private static let describe: Int32 = 8
    private static let clusterAction: Int32 = 9
    private static let describeConfigs: Int32 = 10
    private static let alterConfigs: Int32 = 11
    private static let idempotentWrite: Int32 = 12

    static let topic = bits([read, write, create, delete, alter, describe, describeConfigs, alterConfigs])
    static let cluster = bits([create, alter, describe, clusterAction, describeConfigs, alterConfigs, idempotentWrite])
    static let group = bits([read, delete, describe])
}
