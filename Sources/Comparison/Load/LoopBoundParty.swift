//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore

/// A producer or consumer seen from outside its event loop.
struct LoopBound<Party>: Sendable {
    private let bound: NIOLoopBound<Party>
    let eventLoop: any EventLoop

    /// Makes the party on its loop.
    init(on eventLoop: any EventLoop, _ make: @escaping @Sendable () -> Party) async {
        self.eventLoop = eventLoop
        bound = await withCheckedContinuation { continuation in
            eventLoop.execute { continuation.resume(returning: NIOLoopBound(make(), eventLoop: eventLoop)) }
        }
    }

    /// Runs `body` on the loop and returns what it makes.
    func run<Value: Sendable>(_ body: @escaping @Sendable (Party) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            eventLoop.execute { continuation.resume(returning: body(bound.value)) }
        }
    }

    /// Runs `body` on the loop and returns when it calls back.
    func wait(_ body: @escaping @Sendable (Party, _ done: @escaping @Sendable () -> Void) -> Void) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            eventLoop.execute { body(bound.value) { continuation.resume() } }
        }
    }
}

extension LoopBound<LoadProducer> {
    /// Lets what is due be acknowledged, for at most `limit`, then ends the producer.
    func stop(within limit: Duration) async {
        await wait { producer, done in
            let timer = producer.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(limit / .nanoseconds(1)))) {
                producer.close()
            }
            producer.stop {
                timer.cancel()
                done()
            }
        }
        await run { $0.close() }
    }
}
