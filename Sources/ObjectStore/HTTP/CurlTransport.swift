//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// HTTP/1.1 over libcurl's multi interface: one thread of its own drives all transfers, connections are kept and shared.
package final class CurlTransport: HTTPTransport {
    package struct Settings: Sendable {
        /// Transfers at once; more wait their turn.
        package var inFlightMax = 64
        package var connectTimeout = Duration.seconds(5)
        /// A transfer that moves fewer than ``stallBytesPerSecond`` for this long has failed; waiting for the answer counts.
        package var stallTimeout = Duration.seconds(20)
        package var stallBytesPerSecond = 1_024
        /// PEM file of trusted authorities; nil for the system's.
        package var authoritiesFile: String?

        package init() {}
    }

    private let loop: CurlLoop
    private let worker: any Worker

    package init(settings: Settings, workers: any WorkerPool) {
        let loop = CurlLoop(settings: settings)
        self.loop = loop
        self.worker = workers.makeWorker(named: "object-http")
        worker.submit { loop.run() }
    }

    deinit { loop.stop(nil) }

    package func send(_ request: HTTPRequest) async throws(HTTPTransportError) -> HTTPResponse {
        let transfer = CurlTransfer(request)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.continuation = continuation
                loop.submit(transfer)
            }
        } onCancel: {
            loop.cancel(transfer)
        }
        return try result.get()
    }

    package func close() async {
        await withCheckedContinuation { continuation in loop.stop { continuation.resume() } }
    }
}
