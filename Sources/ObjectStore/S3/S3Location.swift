//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Where a bucket is, as `s3://bucket/prefix?endpoint=http://host:port&region=...&copies=N` says.
public struct S3Location: Sendable, Hashable {
    /// As the user gave it.
    public var url: String
    public var isSecure: Bool
    /// `host` or `host:port`, as in the `Host` header.
    public var authority: String
    public var bucket: String
    /// "" or ending in `/`.
    public var prefix: String
    public var region: String
    /// Declared by the user: nothing here can count them.
    public var copies: Double

    public init(url: String, isSecure: Bool, authority: String, bucket: String, prefix: String, region: String, copies: Double) {
        self.url = url
        self.isSecure = isSecure
        self.authority = authority
        self.bucket = bucket
        self.prefix = prefix
        self.region = region
        self.copies = copies
    }

    public var endpoint: String { (isSecure ? "https://" : "http://") + authority }
}
