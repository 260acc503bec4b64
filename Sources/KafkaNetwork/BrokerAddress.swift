//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Where a broker listens.
package struct BrokerAddress: Hashable, Sendable, Codable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port` or `[IPv6]:port`.
    package init(parsing text: String) throws(KafkaClientError) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65535).contains(port)
        else {
            throw KafkaClientError(.invalidAddress, "\"\(text)\" is not HOST:PORT with a port from 1 to 65535")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw KafkaClientError(.invalidAddress, "\"\(text)\" has no host before the colon") }
        self.init(host: String(host), port: port)
    }

    /// Reads a list with commas between, as `--bootstrap-server` takes it.
    package static func list(parsing text: String) throws(KafkaClientError) -> [BrokerAddress] {
        var addresses: [BrokerAddress] = []
        for part in text.split(separator: ",") {
            addresses.append(try BrokerAddress(parsing: part.filter { $0 != " " }))
        }
        guard !addresses.isEmpty else { throw KafkaClientError(.invalidAddress, "no HOST:PORT given") }
        return addresses
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
