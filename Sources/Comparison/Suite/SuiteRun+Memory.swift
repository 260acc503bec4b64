//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import Glibc
internal import KafkaNetwork
internal import KafkaProtocol
internal import LogModel
internal import NIOCore

/// Memory under clients that do not take what they asked for.
extension SuiteRun {
    /// Each of `count` connections asks for 16 MiB twenty times over and reads nothing, while a producer goes on.
    func slowConsumers(_ count: Int, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn) { cluster in
            try await createTopic("read", partitions: 1, cluster)
            let before = Self.usage(of: cluster.pids)
            try await fill("read", bytes: 64 << 20, cluster)
            let address = try BrokerAddress.list(parsing: cluster.bootstrap)[0]
            var sockets: [Int32] = []
            defer { for socket in sockets { close(socket) } }
            for _ in 0..<count { sockets.append(try Self.askAndDoNotRead("read", of: address)) }
            var figures = try await produceConstantly(to: "read", turn, cluster)
            if let before, let after = Self.usage(of: cluster.pids) {
                figures.add(Figure.growth, Double(after.residentBytesMax - before.residentBytes), "B")
            }
            return figures
        }
    }

    private static func askAndDoNotRead(_ topic: String, of address: BrokerAddress) throws -> Int32 {
        var asked = FetchRequest.FetchTopic(topic: topic)
        asked.partitions.append(.init(partition: 0, fetchOffset: 0, partitionMaxBytes: 16 << 20))
        let request = FetchRequest(maxWaitMs: 100, minBytes: 1, maxBytes: 16 << 20, topics: [asked])
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(UInt16(address.port)).bigEndian
        name.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            close(socket)
            throw Failure("\(address): \(String(cString: strerror(errno)))")
        }
        for number in 0..<20 {
            for slice in try encodeRequest(request, version: 11, correlationID: Int32(number), clientID: "slow") {
                guard case .bytes(let bytes) = slice else { continue }
                let sent = bytes.withUnsafeReadableBytes { send(socket, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) }
                guard sent == bytes.readableBytes else {
                    close(socket)
                    throw Failure("\(address) took no more requests after \(number)")
                }
            }
        }
        return socket
    }
}
