//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// Where reports are written.
enum OutputDirectory {
    /// Says before minutes of work, not after them, that the report could not be written. Makes nothing.
    static func check(_ path: String) throws(CommandFailure) {
        var place = URL(fileURLWithPath: path).standardizedFileURL
        while true {
            var isDirectory: ObjCBool = false
            if FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory) {
                guard isDirectory.boolValue else {
                    throw CommandFailure("\(path): \(place.path) is not a directory; choose another --output")
                }
                guard access(place.path, W_OK | X_OK) == 0 else {
                    throw CommandFailure("\(path): \(place.path) cannot be written; choose another --output")
                }
                return
            }
            guard place.path != "/" else { return }
            place.deleteLastPathComponent()
        }
    }
}
