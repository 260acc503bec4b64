//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Why a listener did not start: one line that says what, where and what to do.
package struct KafkaServerError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        case addressInUse
        case addressNotAvailable
        case permissionDenied
        case stopped
        case other
    }

    package var code: Code
    package var description: String

    package init(code: Code, description: String) {
        self.code = code
        self.description = description
    }
}
