//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel

/// DescribeCluster (60): the cluster's id, controller and brokers (KIP-700).
enum DescribeClusterHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...1

    private static let brokerEndpoints: Int8 = 1

    static func handle(_ request: DescribeClusterRequest, _ context: RequestContext) -> Handling<DescribeClusterResponse> {
        guard request.endpointType == brokerEndpoints else {
            return .respond(
                DescribeClusterResponse(
                    errorCode: request.endpointType == 2 ? .mismatchedEndpointType : .unsupportedEndpointType,
                    errorMessage: "this is a broker's endpoint"))
        }
        let image = context.frontend.metadata.current
        var response = DescribeClusterResponse(
            clusterId: image.cluster?.clusterID ?? "", controllerId: context.frontend.controller(image)?.rawValue ?? -1)
        response.brokers = image.brokers.values.map(\.record).sorted { $0.id < $1.id }.map {
            DescribeClusterResponse.DescribeClusterBroker(
                brokerId: $0.id.rawValue, host: $0.host, port: Int32($0.port), rack: $0.rack)
        }
        if request.includeClusterAuthorizedOperations { response.clusterAuthorizedOperations = AuthorizedOperations.cluster }
        return .respond(response)
    }
}
