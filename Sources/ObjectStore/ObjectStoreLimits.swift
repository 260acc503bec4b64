//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What S3 allows, held by every store, so that what works on a directory works on a bucket.
enum ObjectStoreLimits {
    /// ListObjectsV2.
    static let keysPerPageMax = 1_000
    /// DeleteObjects.
    static let keysPerDeleteMax = 1_000
    static let partsMax = 10_000
    /// Bytes of every part but the last.
    static let partBytesMin = 5 << 20
    /// Bytes that one get may return: a buffer counts its bytes in 32 bits.
    static let responseBytesMax: Int64 = 1 << 31
}

/// The sizes of a multipart upload's parts, checked as they come.
struct PartSizes {
    let key: String
    private(set) var count = 0
    private(set) var total: Int64 = 0
    private var last = ObjectStoreLimits.partBytesMin

    init(key: String) { self.key = key }

    mutating func add(_ bytes: Int) throws(ObjectStoreError) {
        guard last >= ObjectStoreLimits.partBytesMin else {
            throw ObjectStoreError(
                .unsupported,
                "part \(count) of object \(key) has \(last) bytes; all but the last need \(ObjectStoreLimits.partBytesMin)")
        }
        guard count < ObjectStoreLimits.partsMax else {
            throw ObjectStoreError(
                .unsupported, "object \(key) has more than \(ObjectStoreLimits.partsMax) parts; make them larger")
        }
        count += 1
        last = bytes
        total += Int64(bytes)
    }
}

extension ObjectStoreError {
    /// What the caller's stream of parts threw.
    init(failedSource error: any Error, key: String) {
        if let error = error as? ObjectStoreError {
            self = error
        } else {
            self.init(.other, "the parts of object \(key) could not be made: \(error)")
        }
    }

    static func rangeOutside(_ key: String, _ range: Range<Int64>) -> ObjectStoreError {
        ObjectStoreError(
            .invalidRange, "object \(key): the range from \(range.lowerBound) to \(range.upperBound) holds no byte of it")
    }

    static func tooLargeForOneGet(_ key: String, _ bytes: Int64) -> ObjectStoreError {
        ObjectStoreError(.unsupported, "object \(key): \(bytes) bytes are too many for one get; read it by ranges")
    }

    /// Something went wrong, as opposed to an answer that the caller may have expected.
    var isFailure: Bool { code != .notFound && code != .preconditionFailed && code != .invalidRange }
}
