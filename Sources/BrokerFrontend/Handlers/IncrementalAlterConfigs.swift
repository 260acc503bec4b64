//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// IncrementalAlterConfigs (44): sets, deletes, adds to and takes from single settings (KIP-339).
enum IncrementalAlterConfigsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...1

    static func handle(
        _ request: IncrementalAlterConfigsRequest, _ context: RequestContext
    ) -> Handling<IncrementalAlterConfigsResponse> {
        .later {
            var response = IncrementalAlterConfigsResponse()
            for resource in request.resources {
                let problem = await alter(resource, validateOnly: request.validateOnly, context)
                response.responses.append(
                    IncrementalAlterConfigsResponse.AlterConfigsResourceResponse(
                        errorCode: problem?.code ?? .none, errorMessage: problem?.message, resourceType: resource.resourceType,
                        resourceName: resource.resourceName))
            }
            return response
        }
    }

    private static func alter(
        _ resource: IncrementalAlterConfigsRequest.AlterConfigsResource, validateOnly: Bool, _ context: RequestContext
    ) async -> (code: ErrorCode, message: String)? {
        guard Set(resource.configs.map(\.name)).count == resource.configs.count else {
            return (.invalidRequest, "a setting is named more than once")
        }
        var changes: [(name: String, operation: ConfigOperation, value: String?)] = []
        for config in resource.configs {
            guard let operation = ConfigOperation(rawValue: config.configOperation) else {
                return (.invalidRequest, "\(config.name): there is no operation \(config.configOperation)")
            }
            changes.append((config.name, operation, config.value))
        }
        return await context.frontend.change(
            ConfigResource(type: resource.resourceType, name: resource.resourceName),
            .incremental(changes), validateOnly: validateOnly)
    }
}
