//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// An address to listen on or to be reached at: `PLAINTEXT://host:port`. Port 0 lets the system choose.
package struct Listener: Sendable, Hashable, CustomStringConvertible {
    package var name: String
    package var host: String
    package var port: Int

    package init(name: String, host: String, port: Int) {
        self.name = name
        self.host = host
        self.port = port
    }

    package var description: String { "\(name)://\(host):\(port)" }

    package init(parsing text: String, key: String) throws(ConfigurationError) {
        let allowed = "NAME://HOST:PORT, as in PLAINTEXT://127.0.0.1:9092"
        guard let separator = text.firstRange(of: "://"), let colon = text.lastIndex(of: ":"), colon >= separator.upperBound,
            let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port)
        else { throw ConfigurationError(key: key, value: text, allowed: allowed) }
        let name = String(text[..<separator.lowerBound]).uppercased()
        guard name == "PLAINTEXT" else {
            throw ConfigurationError(
                key: key, value: text, allowed: "\(allowed) (\(name) is not served: TLS and SASL are not there yet)")
        }
        var host = String(text[separator.upperBound..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        self.init(name: name, host: host, port: port)
    }
}
