//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
internal import NIOCore

/// The answers a connection owes, in the order of its requests, whatever order they are ready in.
package struct ResponseQueue: ~Copyable {
    /// Names a request among those of its connection.
    package struct Ticket: Hashable, Sendable {
        fileprivate var number: UInt64
    }

    private struct Slot {
        var requestBytes: Int
        /// Nil until the request's work is done.
        var outcome: FinalOutcome?
    }

    private var slots = CircularBuffer<Slot>()
    /// The ticket of the first slot.
    private var first: UInt64 = 0
    /// Request bytes of all slots.
    package private(set) var requestBytes = 0

    package init() {}

    /// Requests begun and not yet taken.
    package var count: Int { slots.count }

    package mutating func begin(requestBytes bytes: Int) -> Ticket {
        slots.append(Slot(requestBytes: bytes, outcome: nil))
        requestBytes += bytes
        return Ticket(number: first + UInt64(slots.count - 1))
    }

    package mutating func complete(_ ticket: Ticket, with outcome: FinalOutcome) {
        precondition(
            ticket.number >= first && ticket.number < first + UInt64(slots.count), "a request is completed once, while it is owed")
        slots[offset: Int(ticket.number - first)].outcome = outcome
    }

    /// Takes the outcome whose turn it is, with the bytes of the request it ends; nil while that is not ready.
    package mutating func takeNext() -> (outcome: FinalOutcome, requestBytes: Int)? {
        guard let slot = slots.first, let outcome = slot.outcome else { return nil }
        slots.removeFirst()
        first += 1
        requestBytes -= slot.requestBytes
        return (outcome, slot.requestBytes)
    }
}

extension CircularBuffer {
    fileprivate subscript(offset offset: Int) -> Element {
        get { self[index(startIndex, offsetBy: offset)] }
        set { self[index(startIndex, offsetBy: offset)] = newValue }
    }
}
