//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import RuntimeEnvironment

/// How long to insist.
package struct RetryPolicy: Sendable {
    /// Requests sent for one operation, the first included.
    package var attemptsMax = 6
    /// The longest pause after the first failure; it doubles with each further one.
    package var basePause = Duration.milliseconds(100)
    package var pauseMax = Duration.seconds(5)

    package init() {}
}

/// What one sent request came to, as far as trying again goes.
package enum AttemptOutcome: Sendable {
    /// An answer: retrying would not change it.
    case answered
    /// - Parameter mayHaveTakenEffect: The server may have carried the request out although it did not say so.
    case failed(ObjectStoreError, mayHaveTakenEffect: Bool)
    /// Retrying would not help.
    case refused(ObjectStoreError)
}

/// Counts the attempts of one operation and decides after each: exponential backoff with full jitter, which spreads those who were
/// turned away together over the whole pause.
package struct RetryState: Sendable {
    package enum Action: Sendable {
        case done
        case retry(after: Duration)
        case fail(ObjectStoreError)
    }

    private let policy: RetryPolicy
    private var attempts = 0
    /// An earlier attempt may have been carried out, so a later "exists already" or "does not exist" may be our own doing.
    package private(set) var isAmbiguous = false

    package init(_ policy: RetryPolicy) { self.policy = policy }

    package mutating func attempted(_ outcome: AttemptOutcome, randomness: any RandomSource) -> Action {
        attempts += 1
        switch outcome {
        case .answered: return .done
        case .refused(let error): return .fail(error)
        case .failed(var error, let mayHaveTakenEffect):
            isAmbiguous = isAmbiguous || mayHaveTakenEffect
            guard attempts < policy.attemptsMax else {
                error.message += " (\(attempts) attempts)"
                return .fail(error)
            }
            let ceiling = min(policy.pauseMax, policy.basePause * (1 << min(attempts - 1, 20)))
            return .retry(after: .nanoseconds(Int64(randomness.nextUnit() * Double(ceiling.inNanoseconds))))
        }
    }
}
