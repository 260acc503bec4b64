//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

extension DiskError {
    /// The error of a system call that failed with `errno`.
    init(errno: CInt, operation: String, path: String) {
        let code: Code =
            switch errno {
            case ENOENT: .notFound
            case EEXIST: .alreadyExists
            case ENOSPC, EDQUOT: .noSpace
            case EACCES, EPERM, EROFS: .permissionDenied
            case EIO: .inputOutput
            default: .other
            }
        self.init(code: code, operation: operation, path: path, errno: errno)
    }

    static func systemMessage(_ errno: CInt) -> String {
        guard errno != 0, let text = strerror(errno) else { return "system error \(errno)" }
        let message = String(cString: text)
        return errno == EMFILE ? "\(message); raise the limit of open files (ulimit -n)" : message
    }
}

/// Repeats a call that a signal interrupted. -1 becomes the error.
func systemCall<Result: SignedInteger>(
    _ operation: String, _ path: String, _ call: () -> Result
) throws(DiskError) -> Result {
    while true {
        let result = call()
        if result >= 0 { return result }
        let code = Glibc.errno
        if code != EINTR { throw DiskError(errno: code, operation: operation, path: path) }
    }
}
