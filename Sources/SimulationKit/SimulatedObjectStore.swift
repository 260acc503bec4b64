//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore
public import ObjectStore
public import RuntimeEnvironment
internal import Synchronization

/// One request to the store, as a fault is asked for it.
public struct ObjectOperation: Sendable {
    public enum Kind: Sendable, Hashable { case put, get, info, list, delete, multipart, physicalBytes }
    public var kind: Kind
    /// The key, the prefix, or the first key.
    public var key: String
}

/// What happens to a request.
public enum ObjectFault: Sendable {
    /// It reaches the store late; the caller waits.
    case delay(Duration)
    /// It never reaches the store.
    case fail(ObjectStoreError.Code)
    /// It is carried out, but the answer is lost.
    case loseReply(ObjectStoreError.Code)
    /// The caller is told of a failure at once, and the request is carried out later all the same.
    case failThenApply(ObjectStoreError.Code, after: Duration)
}

/// An object store in memory that outlives any process, with exact conditional puts and the faults of a distant one.
public final class SimulatedObjectStore: ObjectStore {
    private struct Object {
        var body: ByteBuffer
        var putAt: MonotonicInstant
        var modifiedMilliseconds: Int64
    }
    private struct State {
        var objects: [String: Object] = [:]
        var requests: [ObjectOperation.Kind: Int] = [:]
        var fault: (@Sendable (ObjectOperation) -> ObjectFault?)?
        var listDelay: Duration?
        /// Begun and neither completed nor given up.
        var uploads: [String: UnfinishedUpload] = [:]
        var lastUpload = 0
        var staleLists = 0
    }

    public let url: String
    public let copies = ObjectCopies(count: 1, basis: .measured)
    private let clock: any Clock
    private let state = Mutex(State())

    public init(clock: any Clock, url: String = "simulated://store") {
        self.clock = clock
        self.url = url
    }

    /// Asked for every request, from its task.
    public func setFault(_ fault: (@Sendable (ObjectOperation) -> ObjectFault?)?) { state.withLock { $0.fault = fault } }

    /// Lists show objects only this long after they were put, as an eventually consistent store does; nil for at once.
    public func setListDelay(_ delay: Duration?) { state.withLock { $0.listDelay = delay } }

    /// Requests that came, faulty ones included.
    public func requestCount(_ kind: ObjectOperation.Kind) -> Int { state.withLock { $0.requests[kind] ?? 0 } }

    /// Lists that may have lacked something because of their delay.
    public var staleListCount: Int { state.withLock { $0.staleLists } }

    /// Keys that are there, in order, whatever lists show.
    public var keys: [String] { state.withLock { $0.objects.keys.sorted() } }

    /// Of all objects.
    public var bytes: Int { state.withLock { $0.objects.values.reduce(0) { $0 + $1.body.readableBytes } } }

    /// Inverts the bits of `mask` in one byte of an object: bit rot.
    public func corrupt(_ key: String, at index: Int, mask: UInt8 = 0x10) {
        state.withLock { state in
            guard var body = state.objects[key]?.body, let byte = body.getInteger(at: body.readerIndex + index, as: UInt8.self)
            else {
                return
            }
            body.setInteger(byte ^ mask, at: body.readerIndex + index)
            state.objects[key]?.body = body
        }
    }

    public func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        try await perform(.put, key) { state throws(ObjectStoreError) in
            try self.store(Self.joined(body), at: key, condition, in: &state)
        }
    }

    public func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        try await perform(.get, key) { state throws(ObjectStoreError) in
            guard let body = state.objects[key]?.body else { throw ObjectStoreError(.notFound, "no object \(key)") }
            guard let range else { return body }
            guard range.lowerBound >= 0, range.lowerBound < Int64(body.readableBytes) else {
                throw ObjectStoreError(.invalidRange, "object \(key) has \(body.readableBytes) bytes, none in \(range)")
            }
            let end = min(range.upperBound, Int64(body.readableBytes))
            return body.getSlice(at: body.readerIndex + Int(range.lowerBound), length: Int(end - range.lowerBound))!
        }
    }

    public func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try await perform(.info, key) { state throws(ObjectStoreError) in state.objects[key].map { Self.info(key, $0) } }
    }

    public func list(
        prefix: String, startAfter: String?, maxKeys: Int
    ) async throws(ObjectStoreError) -> (objects: [ObjectInfo], isTruncated: Bool) {
        let now = clock.now()
        let page = try await perform(.list, prefix) { state throws(ObjectStoreError) in
            let visible = state.objects.filter { key, object in
                key.hasPrefix(prefix) && startAfter.map { Self.isAscending($0, key) } ?? true
                    && state.listDelay.map { now - object.putAt >= $0 } ?? true
            }
            if state.listDelay != nil, state.objects.contains(where: { visible[$0.key] == nil && $0.key.hasPrefix(prefix) }) {
                state.staleLists += 1
            }
            let keys = visible.keys.sorted(by: Self.isAscending)
            let shown = keys.prefix(min(max(0, maxKeys), 1_000))
            return Page(objects: shown.map { Self.info($0, visible[$0]!) }, isTruncated: shown.count < keys.count)
        }
        return (page.objects, page.isTruncated)
    }

    private struct Page: Sendable {
        var objects: [ObjectInfo]
        var isTruncated: Bool
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) {
        try await perform(.delete, keys.first ?? "") { state throws(ObjectStoreError) in
            for key in keys { state.objects[key] = nil }
        }
    }

    public func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        let upload = beginUpload(key)
        defer { state.withLock { _ = $0.uploads.removeValue(forKey: upload.id) } }
        var collected: [ByteBuffer] = []
        do {
            for try await part in parts {
                if let last = collected.last, last.readableBytes < 5 << 20 {
                    throw ObjectStoreError(.unsupported, "part \(collected.count) of \(key) is smaller than 5 MiB and not the last")
                }
                collected.append(part)
            }
        } catch let error as ObjectStoreError {
            throw error
        } catch {
            throw ObjectStoreError(.other, "the parts of \(key) failed: \(error)")
        }
        let body = collected
        try await perform(.multipart, key) { state throws(ObjectStoreError) in
            try self.store(Self.joined(body), at: key, .always, in: &state)
        }
    }

    /// What a writer leaves that dies before its last part.
    @discardableResult
    public func beginUpload(_ key: String) -> UnfinishedUpload {
        let begun = clock.wallMilliseconds()
        return state.withLock { state in
            state.lastUpload += 1
            let upload = UnfinishedUpload(key: key, id: "upload-\(state.lastUpload)", begunMilliseconds: begun)
            state.uploads[upload.id] = upload
            return upload
        }
    }

    public func unfinishedUploads(prefix: String) async throws(ObjectStoreError) -> [UnfinishedUpload] {
        try await perform(.list, prefix) { state throws(ObjectStoreError) in
            state.uploads.values.filter { $0.key.hasPrefix(prefix) }.sorted { ($0.key, $0.id) < ($1.key, $1.id) }
        }
    }

    public func abortUpload(_ upload: UnfinishedUpload) async throws(ObjectStoreError) {
        try await perform(.multipart, upload.key) { state throws(ObjectStoreError) in state.uploads[upload.id] = nil }
    }

    public func physicalPaths(_ key: String) -> [String] { [] }

    public func physicalBytes(
        prefix: String
    ) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        let sizes = try await perform(.physicalBytes, prefix) { state throws(ObjectStoreError) in
            state.objects.filter { $0.key.hasPrefix(prefix) }.map { Int64($0.value.body.readableBytes) }
        }
        return (sizes.reduce(0, +), Int64(sizes.count), .measured)
    }

    public func close() async {}

    // MARK: Faults

    private func perform<Value: Sendable>(
        _ kind: ObjectOperation.Kind, _ key: String,
        _ body: @escaping @Sendable (inout State) throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        let fault = state.withLock { state in
            state.requests[kind, default: 0] += 1
            return state.fault
        }
        @Sendable func apply() throws(ObjectStoreError) -> Value {
            try state.withLock { state throws(ObjectStoreError) in try body(&state) }
        }
        let operation = ObjectOperation(kind: kind, key: key)
        switch fault?(operation) {
        case nil: return try apply()
        case .delay(let duration):
            do { try await clock.sleep(for: duration) } catch {
                throw ObjectStoreError(.timedOut, "\(kind) \(key): given up by its caller")
            }
            return try apply()
        case .fail(let code): throw ObjectStoreError(code, "\(kind) \(key): injected, not carried out")
        case .loseReply(let code):
            _ = try apply()
            throw ObjectStoreError(code, "\(kind) \(key): injected, carried out")
        case .failThenApply(let code, let delay):
            let clock = self.clock
            Task {
                try await clock.sleep(for: delay)
                _ = try apply()
            }
            throw ObjectStoreError(code, "\(kind) \(key): injected, carried out later")
        }
    }

    private func store(
        _ body: ByteBuffer, at key: String, _ condition: PutCondition, in state: inout State
    ) throws(ObjectStoreError) {
        if condition == .ifAbsent, state.objects[key] != nil {
            throw ObjectStoreError(.preconditionFailed, "object \(key) is there already")
        }
        state.objects[key] = Object(body: body, putAt: clock.now(), modifiedMilliseconds: clock.wallMilliseconds())
    }

    private static func info(_ key: String, _ object: Object) -> ObjectInfo {
        ObjectInfo(key: key, size: Int64(object.body.readableBytes), modifiedMilliseconds: object.modifiedMilliseconds)
    }

    /// S3 orders keys by their UTF-8 bytes.
    private static func isAscending(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

    private static func joined(_ buffers: [ByteBuffer]) -> ByteBuffer {
        var whole = ByteBuffer()
        for buffer in buffers { whole.writeImmutableBuffer(buffer) }
        return whole
    }
}
