//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Synchronization

/// A port of this machine on which every connection is handled by `handler` with its descriptor, on a thread of its own.
final class RawServer: Sendable {
    let port: Int
    private let listener: Int32
    private let connectionCount = Mutex(0)

    var connections: Int { connectionCount.withLock { $0 } }

    init(_ handler: @escaping @Sendable (_ connection: Connection) -> Void) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) + getsockname(listener, $0, &length) + listen(listener, 64)
            }
        }
        guard result == 0 else { throw CocoaError(.featureUnsupported) }
        self.listener = listener
        self.port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                connectionCount.withLock { $0 += 1 }
                Thread.detachNewThread {
                    let connection = Connection(descriptor: descriptor)
                    handler(connection)
                    close(descriptor)
                }
            }
        }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    struct Connection: Sendable {
        let descriptor: Int32

        /// The next request with its body; nil when the client is gone.
        func readRequest() -> (head: String, body: Data)? {
            var data = Data()
            while true {
                if let end = data.range(of: Data("\r\n\r\n".utf8)) {
                    let head = String(decoding: data[..<end.lowerBound], as: UTF8.self)
                    let length =
                        head.lowercased().components(separatedBy: "content-length: ").dropFirst().first
                        .flatMap { Int($0.prefix { $0.isNumber }) } ?? 0
                    while data.count - end.upperBound < length { guard readMore(&data) else { return nil } }
                    return (head, data[end.upperBound...])
                }
                guard readMore(&data) else { return nil }
            }
        }

        private func readMore(_ data: inout Data) -> Bool {
            var space = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &space, space.count, 0)
            guard count > 0 else { return false }
            data.append(contentsOf: space[..<count])
            return true
        }

        func write(_ text: String) {
            let bytes = Array(text.utf8)
            _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
    }
}
