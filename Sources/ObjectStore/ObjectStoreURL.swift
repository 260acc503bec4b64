//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import Metering
public import RuntimeEnvironment

/// An object store as the user names it: `file:///DIR?copies=N` or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&copies=N`.
public enum ObjectStoreURL: Sendable, Hashable {
    case directory(path: String, copies: Int)
    case s3(S3Location)

    static let allowed =
        "allowed are file:///DIR?copies=N and s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=NAME&copies=N"
    static let copiesMax = 16

    /// Reads the text alone; touches nothing.
    public init(parsing url: String) throws(ObjectStoreError) {
        func bad(_ what: String) -> ObjectStoreError {
            ObjectStoreError(.other, "object store \(Self.withoutUser(url)): \(what); \(Self.allowed)")
        }
        let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var parameters: [String: String] = [:]
        for parameter in parts.count > 1 ? parts[1].split(separator: "&", omittingEmptySubsequences: false) : [] {
            let pair = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let value = PercentEncoding.decode(String(pair[1])), !value.isEmpty else {
                throw bad("the parameter \"\(parameter)\" has no readable value")
            }
            guard parameters.updateValue(value, forKey: String(pair[0])) == nil else { throw bad("\(pair[0]) is given twice") }
        }
        let place = parts[0]
        let names: Set<String>
        if place.hasPrefix("file://") {
            names = ["copies"]
        } else if place.hasPrefix("s3://") {
            names = ["endpoint", "region", "copies"]
        } else {
            throw bad("unknown scheme")
        }
        if let unknown = parameters.keys.filter({ !names.contains($0) }).min() {
            throw bad("unknown parameter \(unknown)")
        }

        if place.hasPrefix("file://") {
            guard let path = PercentEncoding.decode(String(place.dropFirst(7))), path.hasPrefix("/") else {
                throw bad("the directory must be absolute, as in file:///var/lib/objects")
            }
            guard !path.split(separator: "/").isEmpty, !path.split(separator: "/").contains(".."), !path.utf8.contains(0) else {
                throw bad("the directory cannot be used")
            }
            let copies = Int(parameters["copies"] ?? "1")
            guard let copies, (1...Self.copiesMax).contains(copies) else { throw bad("copies must be 1 to \(Self.copiesMax)") }
            self = .directory(path: path, copies: copies)
            return
        }
        guard let name = PercentEncoding.decode(String(place.dropFirst(5))) else { throw bad("the bucket cannot be read") }
        let path = name.split(separator: "/")
        guard let bucket = path.first, !name.hasPrefix("/"), Self.isBucketName(bucket) else {
            throw bad("a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens")
        }
        let region = parameters["region"] ?? "us-east-1"
        guard region.utf8.allSatisfy({ Self.isLowerAlphanumeric($0) || $0 == UInt8(ascii: "-") }) else {
            throw bad("the region cannot be used")
        }
        guard let copies = Double(parameters["copies"] ?? "1"), copies >= 1, copies <= Double(Self.copiesMax) else {
            throw bad("copies must be 1 to \(Self.copiesMax)")
        }
        let endpoint = parameters["endpoint"] ?? "https://s3.\(region).amazonaws.com"
        guard let (isSecure, authority) = Self.readEndpoint(endpoint) else {
            throw bad("the endpoint must be http://HOST:PORT or https://HOST:PORT, without a path or credentials")
        }
        let prefix = path.dropFirst().joined(separator: "/")
        self = .s3(
            S3Location(
                url: url, isSecure: isSecure, authority: authority, bucket: String(bucket),
                prefix: prefix.isEmpty ? "" : prefix + "/",
                region: region, copies: copies))
    }

    /// Opens the store, making a local directory if it is missing. Nothing is sent yet: ``ObjectStoreProbe`` does that.
    ///
    /// - Parameter credentials: The process's environment, or as much of it as holds `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    ///   `AWS_SESSION_TOKEN` and `AWS_CA_BUNDLE`.
    public static func open(
        _ url: String, environment: RuntimeEnvironment, meters: Meters, credentials: [String: String]
    ) throws(ObjectStoreError) -> any ObjectStore {
        switch try ObjectStoreURL(parsing: url) {
        case .directory(let path, let copies):
            do throws(DiskError) {
                let whole = PosixDisk(root: "/")
                let relative = path.split(separator: "/").joined(separator: "/")
                try whole.makeDirectory(relative)
                try whole.synchronizeDirectory(relative.split(separator: "/").dropLast().joined(separator: "/"))
            } catch {
                throw ObjectStoreError(error, doing: "make the object store \(url)")
            }
            return try LocalDirectoryStore(
                url: url, disk: PosixDisk(root: path), copies: copies, environment: environment, meters: meters)
        case .s3(let location):
            guard let keys = S3Credentials(environment: credentials) else {
                throw ObjectStoreError(
                    .forbidden, "object store \(url): no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            }
            var settings = CurlTransport.Settings()
            settings.authoritiesFile = credentials["AWS_CA_BUNDLE"]
            let transport = MeteredTransport(CurlTransport(settings: settings, workers: environment.workers), meters: meters)
            return S3Store(location: location, credentials: keys, transport: transport, environment: environment)
        }
    }

    /// A URL that should not have had a password shall not show it either.
    private static func withoutUser(_ url: String) -> String {
        guard url.contains("@") else { return url }
        return url.prefix { $0 != ":" } + "://..."
    }

    private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isBucketName(_ name: some StringProtocol) -> Bool {
        let bytes = Array(name.utf8)
        return (3...63).contains(bytes.count) && isLowerAlphanumeric(bytes[0]) && isLowerAlphanumeric(bytes[bytes.count - 1])
            && bytes.allSatisfy { isLowerAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }

    /// The `Host` header's form: the scheme's own port is left out, as HTTP clients do.
    private static func readEndpoint(_ endpoint: String) -> (isSecure: Bool, authority: String)? {
        var rest = endpoint[...]
        let isSecure = rest.hasPrefix("https://")
        guard isSecure || rest.hasPrefix("http://") else { return nil }
        rest = rest.dropFirst(isSecure ? 8 : 7)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        var host = rest
        var port: Int?
        let bracketEnd = rest.lastIndex(of: "]") ?? rest.startIndex
        if let colon = rest[bracketEnd...].lastIndex(of: ":") {
            host = rest[..<colon]
            guard let number = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            port = number
        }
        let isAddress6 = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
        let inner = isAddress6 ? host.dropFirst().dropLast() : host
        guard !inner.isEmpty,
            inner.utf8.allSatisfy({ byte in
                isLowerAlphanumeric(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || "-._".utf8.contains(byte)
                    || isAddress6 && byte == UInt8(ascii: ":")
            })
        else { return nil }
        guard let port, port != (isSecure ? 443 : 80) else { return (isSecure, String(host).lowercased()) }
        return (isSecure, "\(host.lowercased()):\(port)")
    }
}
