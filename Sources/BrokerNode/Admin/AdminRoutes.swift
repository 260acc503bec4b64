//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogEngine
internal import LogModel
internal import Metering

/// What the metrics listener answers.
///
/// ```
/// GET  /metrics        Prometheus text            GET  /v1/footprint?objects=true   bytes by medium
/// GET  /healthz        the process runs           POST /v1/settle                   wait for uploads and compaction
/// GET  /readyz         the broker serves          GET  /v1/copies?topic=&partition=&offset=   physical places of a record
/// GET  /v1/counters    all counters               GET  /v1/reassignments    copies under way to new replicas, with a forecast
/// ```
struct AdminRoutes: Sendable {
    let node: Node

    func answer(_ request: AdminServer.Request) async -> AdminServer.Answer {
        switch (request.method, request.path) {
        case ("GET", "/metrics"): return .text(node.prometheusText)
        case ("GET", "/healthz"): return .text("ok\n")
        case ("GET", "/readyz"): return node.isServing ? .text("ok\n") : .text("not serving yet\n", status: 503)
        case ("GET", "/v1/counters"): return Self.json(node.meters.snapshot)
        case ("GET", "/v1/reassignments"): return Self.json(node.copies)
        case ("GET", "/v1/footprint"):
            return await Self.carry { try await node.footprint(includingObjects: request.query["objects"] == "true") }
        case ("POST", "/v1/settle"): return await Self.carry { try await node.settle() }
        case ("GET", "/v1/copies"): return await copies(request.query)
        default: return .text("no such page: \(request.method) \(request.path)\n", status: 404)
        }
    }

    private func copies(_ query: [String: String]) async -> AdminServer.Answer {
        guard let topic = query["topic"], let partition = query["partition"].flatMap({ Int32($0) }),
            let offset = query["offset"].flatMap({ Int64($0) })
        else { return .text("wants topic, partition and offset\n", status: 400) }
        guard let log = node.log(topic: topic, partition: partition) else {
            return Self.json([PhysicalCopy]())
        }
        return await Self.carry { try await log.physicalCopies(of: Offset(offset)) }
    }

    private static func json(_ value: some Encodable) -> AdminServer.Answer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return .text("cannot be written as JSON\n", status: 500) }
        return .json(Array(data))
    }

    private static func carry(_ body: () async throws -> some Encodable) async -> AdminServer.Answer {
        do { return json(try await body()) } catch { return .text("\(error)\n", status: 500) }
    }
}
