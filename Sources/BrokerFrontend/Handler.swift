//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import Logging
internal import Metering

/// What one Kafka API does: its versions and its decisions.
protocol Handler: SendableMetatype {
    associatedtype Request: KafkaRequest
    /// The versions that are served.
    static var versions: ClosedRange<Int16> { get }
    /// The versions that ApiVersions tells; as served unless clients need to see more.
    static var announcedVersions: ClosedRange<Int16> { get }
    static var requestClass: NetworkClass { get }
    static func responseClass(of request: Request) -> NetworkClass

    /// Begins a request, in the order of arrival; must not block.
    static func handle(_ request: Request, _ context: RequestContext) -> Handling<Request.Response>
}

extension Handler {
    static var announcedVersions: ClosedRange<Int16> { versions }
    static var requestClass: NetworkClass { .control }
    static func responseClass(of request: Request) -> NetworkClass { .control }
}

/// How a request ends.
enum Handling<Response: KafkaResponse>: Sendable {
    case respond(Response)
    case later(@Sendable () async -> Response)
    case noResponse
    case closeConnection(String)
}

/// A request's surroundings.
struct RequestContext: Sendable {
    let frontend: Frontend
    let connection: ConnectionInfo
    let version: Int16
    let correlationID: Int32
    let clientID: String?

    /// The client's address as Kafka writes it: `/10.0.0.7`.
    var clientHost: String {
        guard let colon = connection.peer.lastIndex(of: ":") else { return "/" + connection.peer }
        return "/" + connection.peer[..<colon]
    }

    var logMetadata: Logger.Metadata { ["client": "\(clientID ?? "")", "peer": "\(connection.peer)"] }

    /// For an answer in another version than the request's.
    func at(version: Int16) -> RequestContext {
        RequestContext(
            frontend: frontend, connection: connection, version: version, correlationID: correlationID, clientID: clientID)
    }

    /// The frame of an answer, or nil, with the reason in the log, if it cannot be written at the request's version.
    func frame<Response: KafkaResponse>(_ response: Response, as networkClass: NetworkClass) -> ResponseFrame? {
        do throws(CodecError) {
            let frame = try ResponseFrame(response, correlationID: correlationID, version: version)
            frontend.meters.count(Int64(frame.sizeInBytes + Frontend.lengthPrefixBytes), as: networkClass)
            return frame
        } catch {
            frontend.logger.error(
                "An answer cannot be written",
                metadata: ["api": "\(Response.apiKey)", "version": "\(version)", "error": "\(error)"])
            return nil
        }
    }
}

/// A handler without its type.
struct HandlerEntry: Sendable {
    let apiKey: Int16
    let name: String
    let versions: ClosedRange<Int16>
    let announcedVersions: ClosedRange<Int16>
    let requestClass: NetworkClass
    let begin: @Sendable (RequestFrame, RequestContext) -> RequestOutcome

    init<H: Handler>(_ handler: H.Type) {
        apiKey = H.Request.apiKey
        name = H.Request.name
        versions = H.versions
        announcedVersions = H.announcedVersions
        requestClass = H.requestClass
        begin = { frame, context in
            let request: H.Request
            do throws(CodecError) { request = try frame.decode(H.Request.self) } catch {
                return .closeConnection(reason: "\(H.Request.name) version \(frame.apiVersion) cannot be read: \(error)")
            }
            let unwritable = "the answer to \(H.Request.name) version \(frame.apiVersion) cannot be written"
            let responseClass = H.responseClass(of: request)
            switch H.handle(request, context) {
            case .respond(let response):
                return context.frame(response, as: responseClass).map { .respond($0) } ?? .closeConnection(reason: unwritable)
            case .later(let work):
                return .respondLater {
                    let response = await work()
                    return context.frame(response, as: responseClass).map { .respond($0) } ?? .closeConnection(reason: unwritable)
                }
            case .noResponse: return .noResponse
            case .closeConnection(let reason): return .closeConnection(reason: reason)
            }
        }
    }
}
