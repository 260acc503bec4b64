//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol

/// Why a request to a broker has no good answer.
package struct KafkaClientError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// Text that names no broker.
        case invalidAddress
        /// No connection came about: nothing was sent.
        case connectFailed
        /// The connection ended before the answer came: the request may or may not have been carried out.
        case connectionClosed
        /// No answer in time: the same.
        case timedOut
        /// The broker and we have no version of this request in common.
        case unsupportedVersion
        /// What was to be sent, or what came, is not a message.
        case malformed
        /// The broker answered with an error.
        case broker(ErrorCode)
    }

    package var code: Code
    package var description: String

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// Whether the same request may succeed later, perhaps at another broker.
    package var isRetriable: Bool {
        switch code {
        case .connectFailed, .connectionClosed, .timedOut: true
        case .broker(let code): code.isRetriable
        case .invalidAddress, .unsupportedVersion, .malformed: false
        }
    }
}
