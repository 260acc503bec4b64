//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import ObjectStore
import RuntimeEnvironment
import Testing

@Suite struct ObjectStoreURLTests {
    @Test func readsADirectory() throws {
        #expect(try ObjectStoreURL(parsing: "file:///var/lib/objects") == .directory(path: "/var/lib/objects", copies: 1))
        #expect(try ObjectStoreURL(parsing: "file:///with%20space?copies=3") == .directory(path: "/with space", copies: 3))
    }

    @Test func readsABucket() throws {
        let url = "s3://my-bucket/a/b/?endpoint=http://127.0.0.1:9000&region=eu-central-1&copies=3"
        #expect(
            try ObjectStoreURL(parsing: url)
                == .s3(
                    S3Location(
                        url: url, isSecure: false, authority: "127.0.0.1:9000", bucket: "my-bucket", prefix: "a/b/",
                        region: "eu-central-1", copies: 3)))
    }

    @Test(arguments: [
        ("s3://bucket", "https://s3.us-east-1.amazonaws.com"),
        ("s3://bucket?region=eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
        ("s3://bucket?endpoint=https://Host.example:443/", "https://host.example"),
        ("s3://bucket?endpoint=http://h:80", "http://h"),
        ("s3://bucket?endpoint=http%3A%2F%2Fh%3A81", "http://h:81"),
        ("s3://bucket?endpoint=http://[::1]:9000", "http://[::1]:9000"),
        ("s3://bucket?endpoint=http://[::1]", "http://[::1]"),
    ])
    func endpointIsWhatTheHostHeaderSays(url: String, endpoint: String) throws {
        guard case .s3(let location) = try ObjectStoreURL(parsing: url) else { return #expect(Bool(false), "a bucket") }
        #expect(location.endpoint == endpoint)
        #expect(location.prefix == "")
    }

    @Test(arguments: [
        ("", "unknown scheme"), ("/dir", "unknown scheme"), ("gs://bucket", "unknown scheme"), ("file://dir", "must be absolute"),
        ("file://", "must be absolute"), ("file:///", "cannot be used"), ("file:///a/../b", "cannot be used"),
        ("file:///a?copies=0", "copies must be 1 to 16"), ("file:///a?copies=x", "copies must be 1 to 16"),
        ("file:///a?copies", "\"copies\" has no readable value"), ("file:///a?endpoint=http://h", "unknown parameter endpoint"),
        ("file:///a?copies=1&copies=2", "copies is given twice"), ("s3://", "a bucket's name"), ("s3:///key", "a bucket's name"),
        ("s3://Bucket", "a bucket's name"), ("s3://b_", "a bucket's name"), ("s3://bucket?copies=nan", "copies must be"),
        ("s3://bucket?endpoint=host:9000", "the endpoint must be"), ("s3://bucket?endpoint=http://h:0", "the endpoint must be"),
        ("s3://bucket?endpoint=http://h/path", "the endpoint must be"), ("s3://bucket?endpoint=http://", "the endpoint must be"),
        ("s3://bucket?endpoint=http://h%0d%0aX:1", "the endpoint must be"), ("s3://bucket?region=a%20b", "the region"),
        ("s3://bucket?acl=public", "unknown parameter acl"),
    ])
    func badURLEndsInOneLine(url: String, reason: String) {
        do throws(ObjectStoreError) {
            _ = try ObjectStoreURL(parsing: url)
            Issue.record("\(url) was accepted")
        } catch {
            #expect(error.message.contains(reason))
            #expect(error.message.contains("allowed are file:///DIR?copies=N and s3://"))
            #expect(!error.message.contains("\n"))
        }
    }

    @Test(arguments: ["s3://bucket?endpoint=http://key:s3cr/et@host:9000", "s3://key:s3cret@bucket"])
    func secretInAURLIsRefusedAndNotRepeated(url: String) {
        do throws(ObjectStoreError) {
            _ = try ObjectStoreURL(parsing: url)
            Issue.record("credentials in a URL were accepted")
        } catch {
            #expect(!error.message.contains("s3cr"))
        }
    }

    @Test func bucketWithoutCredentialsEndsInOneLine() {
        do throws(ObjectStoreError) {
            _ = try ObjectStoreURL.open(
                "s3://bucket?endpoint=http://127.0.0.1:1", environment: .real, meters: Meters(),
                credentials: ["AWS_ACCESS_KEY_ID": "a"])
            Issue.record("a bucket was opened without credentials")
        } catch {
            #expect(error.code == .forbidden)
            #expect(error.message.hasSuffix("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"))
        }
    }
}
