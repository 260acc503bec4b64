//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaNetwork
import KafkaProtocol
import LogModel
import NIOCore
import Synchronization
import Testing

@Suite struct ResponseQueueTests {
    private func answer(_ number: Int32) -> FinalOutcome { .respond(ResponseFrame(slices: [.bytes(ByteBuffer(integer: number))])) }

    @Test func answersLeaveInTheOrderOfTheirRequests() {
        var queue = ResponseQueue()
        let tickets = (0..<5).map { queue.begin(requestBytes: 10 * ($0 + 1)) }
        #expect(queue.requestBytes == 150)
        var left: [Int] = []
        for index in [3, 1, 0, 4, 2] {
            queue.complete(tickets[index], with: answer(Int32(index)))
            while let (_, bytes) = queue.takeNext() { left.append(bytes) }
        }
        #expect(left == [10, 20, 30, 40, 50])
        #expect(queue.count == 0)
        #expect(queue.requestBytes == 0)
    }

    @Test func aTicketStaysGoodWhileOthersAreTaken() {
        var queue = ResponseQueue()
        let first = queue.begin(requestBytes: 1)
        let second = queue.begin(requestBytes: 2)
        queue.complete(first, with: .noResponse)
        #expect(queue.takeNext()?.requestBytes == 1)
        let third = queue.begin(requestBytes: 3)
        queue.complete(third, with: .noResponse)
        #expect(queue.takeNext() == nil)
        queue.complete(second, with: .noResponse)
        #expect(queue.takeNext()?.requestBytes == 2)
        #expect(queue.takeNext()?.requestBytes == 3)
    }
}

@Suite struct RequestMemoryTests {
    @Test func whoFindsItFullIsCalledOnceThereIsRoom() {
        let memory = RequestMemory(bytesMax: 100)
        let calls = Mutex(0)
        #expect(memory.charge(90) {})
        // One frame may overshoot, so that a large one never starves.
        #expect(memory.charge(50) {})
        #expect(!memory.charge(1) { calls.withLock { $0 += 1 } })
        memory.release(20)
        #expect(calls.withLock { $0 } == 0)
        memory.release(40)
        #expect(calls.withLock { $0 } == 1)
        #expect(memory.bytes == 80)
        memory.release(80)
        #expect(calls.withLock { $0 } == 1)
    }
}
