//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import Logging

/// A broker that returns while another one recovers what its former run left must keep its hands off that until it is done.
enum OwnRecovery {
    /// Waits until no other live broker is at this broker's data. Where that broker dies too, or where this one was chosen itself,
    /// its own start recovers them.
    static func waitUntilOver(_ registration: BrokerRegistration, cache: MetadataCache, logger: Logger) async throws {
        let id = registration.id
        let epoch = registration.epoch
        // A recovery can be given to another broker only while this one is not registered: from an image that shows the registration
        // on, there can be no new one.
        var hasSaidSo = false
        while true {
            let image = await cache.waitUntil(timeout: .seconds(1)) { image in
                image.broker(id)?.epoch == epoch && rival(of: id, in: image) == nil
            }
            if image != nil { return }
            guard !registration.isFenced else {
                throw ConfigurationError(
                    "broker \(id) lost its lease in the metadata store while it waited for the recovery of its data; start it again"
                )
            }
            if !hasSaidSo, let rival = rival(of: id, in: cache.current) {
                hasSaidSo = true
                logger.notice(
                    "Waiting for another broker to finish the recovery of this one's data",
                    metadata: ["broker": "\(id)", "assignee": "\(rival)"])
            }
        }
    }

    private static func rival(of id: BrokerID, in image: MetadataImage) -> BrokerID? {
        guard let assignee = image.recoveries[id]?.record.assignee, assignee != id, image.isLive(assignee) else { return nil }
        return assignee
    }
}
