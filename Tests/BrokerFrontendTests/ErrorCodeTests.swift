//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import KafkaProtocol
import LogEngine
import LogModel
import Testing

@Suite struct ErrorCodeTests {
    /// A client that gets UNKNOWN_SERVER_ERROR does not know what to do.
    @Test(arguments: LogError.Code.allCases) func everyLogErrorHasAKafkaError(_ code: LogError.Code) {
        #expect(ErrorCode(LogError(code, "why")) != .unknownServerError)
        #expect(ErrorCode(LogError(code, "why")) != .none)
    }

    @Test func theOnesClientsActOnAreKafkas() {
        let expected: [(LogError.Code, ErrorCode)] = [
            (.notLeader, .notLeaderOrFollower), (.fencedLeaderEpoch, .fencedLeaderEpoch),
            (.offsetOutOfRange, .offsetOutOfRange), (.notEnoughReplicas, .notEnoughReplicas),
            (.outOfOrderSequence, .outOfOrderSequenceNumber), (.recordTooLarge, .messageTooLarge),
            (.diskFull, .kafkaStorageError), (.fenced, .notLeaderOrFollower), (.timedOut, .requestTimedOut),
        ]
        for (code, kafka) in expected { #expect(ErrorCode(LogError(code, "why")) == kafka) }
    }
}
