//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// AlterConfigs (33): replaces all settings of a topic or broker. Old tools still use it.
enum AlterConfigsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: AlterConfigsRequest, _ context: RequestContext) -> Handling<AlterConfigsResponse> {
        .later {
            var response = AlterConfigsResponse()
            for resource in request.resources {
                let problem = await alter(resource, validateOnly: request.validateOnly, context)
                response.responses.append(
                    AlterConfigsResponse.AlterConfigsResourceResponse(
                        errorCode: problem?.code ?? .none, errorMessage: problem?.message, resourceType: resource.resourceType,
                        resourceName: resource.resourceName))
            }
            return response
        }
    }

    private static func alter(
        _ resource: AlterConfigsRequest.AlterConfigsResource, validateOnly: Bool, _ context: RequestContext
    ) async -> (code: ErrorCode, message: String)? {
        var configs: [String: String] = [:]
        for config in resource.configs {
            guard let value = config.value else { return (.invalidRequest, "\(config.name) has no value") }
            configs[config.name] = value
        }
        return await context.frontend.change(
            ConfigResource(type: resource.resourceType, name: resource.resourceName),
            .replacement(configs), validateOnly: validateOnly)
    }
}
