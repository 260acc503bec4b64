//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Who signs. Never written to logs, errors or files: the description says nothing.
public struct S3Credentials: Sendable, CustomStringConvertible, CustomReflectable {
    public var accessKey: String
    public var secretKey: String
    /// Of temporary credentials; nil otherwise.
    public var sessionToken: String?

    public init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; nil unless the first two are there.
    public init?(environment: [String: String]) {
        guard let accessKey = environment["AWS_ACCESS_KEY_ID"], !accessKey.isEmpty,
            let secretKey = environment["AWS_SECRET_ACCESS_KEY"], !secretKey.isEmpty
        else { return nil }
        let token = environment["AWS_SESSION_TOKEN"]
        self.init(accessKey: accessKey, secretKey: secretKey, sessionToken: token?.isEmpty == false ? token : nil)
    }

    public var description: String { "S3 credentials" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
