//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Logging
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// Tells the log when the object store stops doing what it is asked, and when it does again; not each time, but at most once in
/// half a minute. What the engines make of a failure is theirs.
final class ReportingObjectStore: ObjectStore {
    private static let interval = Duration.seconds(30)

    private struct State {
        var reported: MonotonicInstant?
        var failures = 0
    }

    private let base: any ObjectStore
    private let clock: any Clock
    private let logger: Logger
    private let state = Mutex(State())

    init(_ base: any ObjectStore, clock: any Clock, logger: Logger) {
        self.base = base
        self.clock = clock
        self.logger = logger
    }

    var url: String { base.url }
    var copies: ObjectCopies { base.copies }

    func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        do throws(ObjectStoreError) { try await base.put(key, body, condition: condition) } catch { throw failed("put", error) }
        succeeded()
    }

    func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        do throws(ObjectStoreError) { try await base.putMultipart(key, parts: parts) } catch { throw failed("put", error) }
        succeeded()
    }

    func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        do throws(ObjectStoreError) { return try await base.get(key, range: range) } catch { throw failed("get", error) }
    }

    func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        do throws(ObjectStoreError) { return try await base.info(key) } catch { throw failed("look up", error) }
    }

    func list(prefix: String, startAfter: String?, maxKeys: Int) async throws(ObjectStoreError) -> (
        objects: [ObjectInfo], isTruncated: Bool
    ) {
        do throws(ObjectStoreError) {
            return try await base.list(prefix: prefix, startAfter: startAfter, maxKeys: maxKeys)
        } catch { throw failed("list", error) }
    }

    func delete(_ keys: [String]) async throws(ObjectStoreError) {
        do throws(ObjectStoreError) { try await base.delete(keys) } catch { throw failed("delete", error) }
    }

    func unfinishedUploads(prefix: String) async throws(ObjectStoreError) -> [UnfinishedUpload] {
        try await base.unfinishedUploads(prefix: prefix)
    }

    func abortUpload(_ upload: UnfinishedUpload) async throws(ObjectStoreError) {
        do throws(ObjectStoreError) { try await base.abortUpload(upload) } catch { throw failed("end an upload to", error) }
    }

    func physicalPaths(_ key: String) -> [String] { base.physicalPaths(key) }

    func physicalBytes(prefix: String) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        try await base.physicalBytes(prefix: prefix)
    }

    func close() async { await base.close() }

    // MARK: Telling

    /// Only writes count as the end of trouble: a full or forbidden store may well be read.
    private func succeeded() {
        let failures = state.withLock { state in
            defer { state = State() }
            return state.reported == nil ? 0 : state.failures
        }
        if failures > 0 {
            logger.notice("The object store takes writes again", metadata: ["store": "\(url)", "failures": "\(failures)"])
        }
    }

    private func failed(_ operation: String, _ error: ObjectStoreError) -> ObjectStoreError {
        switch error.code {
        // Answers, not failures.
        case .notFound, .preconditionFailed, .invalidRange: return error
        default: break
        }
        let now = clock.now()
        let isDue = state.withLock { state in
            state.failures += 1
            guard state.reported.map({ now - $0 >= Self.interval }) ?? true else { return false }
            state.reported = now
            return true
        }
        guard isDue else { return error }
        let hint =
            switch error.code {
            case .noSpace:
                "Object store is full: what cannot be uploaded stays in the log, and writes stop when that is full; free space"
            case .forbidden: "Object store refuses: check its credentials and permissions"
            case .unreachable, .timedOut, .slowDown: "Object store cannot be reached or is too busy; it is tried again"
            default: "Object store failed; it is tried again"
            }
        logger.error("\(hint)", metadata: ["operation": "\(operation)", "store": "\(url)", "error": "\(error)"])
        return error
    }
}
