//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import Logging

/// InitProducerId (22): an id for an idempotent producer, given out once in the cluster's life (KIP-98).
enum InitProducerIdHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...4

    static func handle(_ request: InitProducerIdRequest, _ context: RequestContext) -> Handling<InitProducerIdResponse> {
        if let transactionalID = request.transactionalId {
            context.frontend.logger.info("A transactional producer was refused", metadata: context.logMetadata)
            // As FindCoordinator answers: an error that ends every client at once.
            return .respond(
                InitProducerIdResponse(
                    errorCode: transactionalID.isEmpty ? .invalidRequest : .transactionalIdAuthorizationFailed, producerId: -1,
                    producerEpoch: -1))
        }
        return .later {
            do throws(MetadataOperationError) {
                return InitProducerIdResponse(producerId: try await context.frontend.producerIDs.next(), producerEpoch: 0)
            } catch {
                context.frontend.logger.warning("No producer ids can be had", metadata: ["error": "\(error)"])
                return InitProducerIdResponse(errorCode: .coordinatorLoadInProgress, producerId: -1, producerEpoch: -1)
            }
        }
    }
}
