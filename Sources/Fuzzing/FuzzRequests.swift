//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import NIOCore

/// The frame is read or refused; what is read encodes to bytes that read as the same, and to no more than there were.
func fuzzRequests(_ bytes: UnsafeRawBufferPointer) throws(FuzzFinding) {
    guard let frame = try? RequestFrame(parsing: ByteBuffer(bytes: bytes)), let entry = MessageRegistry.entry(for: frame.apiKey)
    else { return }
    try demandRoundTrip(entry.request, frame.body, version: frame.apiVersion)
    // A broker reads other brokers' answers, and so does the load generator.
    try demandRoundTrip(entry.response, frame.body, version: frame.apiVersion)
}

private func demandRoundTrip<Message: KafkaMessage>(
    _ type: Message.Type, _ body: ByteBuffer, version: Int16
) throws(FuzzFinding) {
    guard Message.validVersions.contains(version), let message = try? Message(decoding: body, version: version) else { return }
    func encoded(_ message: Message) throws(FuzzFinding) -> ByteBuffer {
        do { return try LogSlices(message.encoded(version: version)).contiguous() } catch {
            throw FuzzFinding("\(type) v\(version) was read, and cannot be written: \(error)")
        }
    }
    let once = try encoded(message)
    try demand(
        once.readableBytes <= body.readableBytes, "\(type) v\(version) grew from \(body.readableBytes) to \(once.readableBytes)")
    guard let again = try? Message(decoding: once, version: version) else {
        throw FuzzFinding("\(type) v\(version) cannot be read as it was written")
    }
    // Bytes are compared, not values: a number that is none does not equal itself.
    try demand(try encoded(again) == once, "\(type) v\(version) is not written the same twice")
}
