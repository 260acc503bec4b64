//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CCurl
internal import CCurlShim
internal import Glibc
internal import NIOCore
internal import Synchronization

/// One request on its way through libcurl.
///
/// Made by the caller, then owned by the loop's thread from `submit` until `finish`; only `isCancelled` is touched by others.
final class CurlTransfer: @unchecked Sendable {
    private static let headerBytesMax = 64 << 10

    let request: HTTPRequest
    let isCancelled = Atomic(false)
    var continuation: CheckedContinuation<Result<HTTPResponse, HTTPTransportError>, Never>?
    private(set) var easy: UnsafeMutableRawPointer?

    private var headerList: UnsafeMutablePointer<curl_slist>?
    private let bodyLength: Int64
    // Where the upload stands.
    private var partIndex = 0
    private var partOffset = 0
    private var bodyBytesSent: Int64 = 0
    // What has come back.
    private var headers: [(name: String, value: String)] = []
    private var headerBytes = 0
    private var body = ByteBuffer()
    private var isTooLarge = false

    init(_ request: HTTPRequest) {
        self.request = request
        self.bodyLength = request.body.reduce(0) { $0 + Int64($1.readableBytes) }
    }

    func finish(_ result: Result<HTTPResponse, HTTPTransportError>) {
        let continuation = self.continuation
        self.continuation = nil
        continuation?.resume(returning: result)
    }

    // MARK: Options

    /// - Returns: False if libcurl refuses an option.
    func prepare(_ easy: UnsafeMutableRawPointer, _ settings: CurlTransport.Settings) -> Bool {
        self.easy = easy
        var isAccepted = true
        func check(_ code: CURLcode) { if code != CURLE_OK { isAccepted = false } }
        func set(_ option: CURLoption, _ value: Int) { check(ninefold_curl_set_long(easy, option, value)) }
        func set(_ option: CURLoption, _ value: String) { check(ninefold_curl_set_string(easy, option, value)) }

        set(CURLOPT_URL, request.url)
        set(CURLOPT_PATH_AS_IS, 1)
        check(ninefold_curl_set_http_only(easy))
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_USERAGENT, "ninefold")
        set(CURLOPT_CONNECTTIMEOUT_MS, Int(settings.connectTimeout.components.seconds) * 1_000)
        set(CURLOPT_LOW_SPEED_LIMIT, settings.stallBytesPerSecond)
        set(CURLOPT_LOW_SPEED_TIME, Int(settings.stallTimeout.components.seconds))
        set(CURLOPT_BUFFERSIZE, 256 << 10)
        set(CURLOPT_UPLOAD_BUFFERSIZE, 256 << 10)
        if let file = settings.authoritiesFile { set(CURLOPT_CAINFO, file) }
        if Self.isLoopback(request.url) { set(CURLOPT_PROXY, "") }

        // We sign what we send, so `Expect` may go: a server that does not answer it would cost a second per large body.
        headerList = curl_slist_append(headerList, "Expect:")
        for header in request.headers {
            headerList = curl_slist_append(headerList, "\(header.name): \(header.value)")
        }
        check(ninefold_curl_set_list(easy, CURLOPT_HTTPHEADER, headerList))

        let context = Unmanaged.passUnretained(self).toOpaque()
        switch request.method {
        case "GET": set(CURLOPT_HTTPGET, 1)
        case "HEAD": set(CURLOPT_NOBODY, 1)
        case "PUT", "POST":
            set(CURLOPT_UPLOAD, 1)
            set(CURLOPT_CUSTOMREQUEST, request.method)
            check(ninefold_curl_set_offset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(bodyLength)))
            check(ninefold_curl_set_transfer_function(easy, CURLOPT_READFUNCTION, readCallback))
            check(ninefold_curl_set_pointer(easy, CURLOPT_READDATA, context))
            check(ninefold_curl_set_seek_function(easy, seekCallback))
            check(ninefold_curl_set_pointer(easy, CURLOPT_SEEKDATA, context))
        default: set(CURLOPT_CUSTOMREQUEST, request.method)
        }
        check(ninefold_curl_set_transfer_function(easy, CURLOPT_WRITEFUNCTION, writeCallback))
        check(ninefold_curl_set_pointer(easy, CURLOPT_WRITEDATA, context))
        check(ninefold_curl_set_transfer_function(easy, CURLOPT_HEADERFUNCTION, headerCallback))
        check(ninefold_curl_set_pointer(easy, CURLOPT_HEADERDATA, context))
        return isAccepted
    }

    func unprepare() {
        easy = nil
        curl_slist_free_all(headerList)
        headerList = nil
    }

    /// A proxy is for the way out of the machine.
    private static func isLoopback(_ url: String) -> Bool {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count > 2 else { return false }
        let host = parts[2]
        return host.hasPrefix("127.") || host.hasPrefix("localhost:") || host == "localhost" || host.hasPrefix("[::1]")
    }

    // MARK: Results

    func outcome(_ code: CURLcode) -> Result<HTTPResponse, HTTPTransportError> {
        guard let easy else { preconditionFailure("a transfer that ends has a handle") }
        guard code == CURLE_OK else { return .failure(failure(code)) }
        let status = ninefold_curl_get_long(easy, CURLINFO_RESPONSE_CODE)
        return .success(HTTPResponse(status: status, headers: headers, body: body, bodyBytesSent: bodyBytesSent))
    }

    func failure(_ code: HTTPTransportError.Code, _ description: String) -> HTTPTransportError {
        let wasSent = easy.map { ninefold_curl_get_long($0, CURLINFO_REQUEST_SIZE) > 0 } ?? false
        return HTTPTransportError(
            code, description, mayHaveTakenEffect: wasSent, bodyBytesSent: bodyBytesSent,
            bodyBytesReceived: Int64(body.readableBytes))
    }

    private func failure(_ code: CURLcode) -> HTTPTransportError {
        if isTooLarge { return failure(.tooLarge, "the answer is longer than the \(request.responseBytesMax) bytes expected") }
        let text = String(cString: curl_easy_strerror(code))
        return switch code {
        case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: failure(.unreachable, text)
        case CURLE_OPERATION_TIMEDOUT: failure(.timedOut, text)
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE: failure(.broken, text)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR:
            failure(.untrusted, text)
        default: failure(.other, text)
        }
    }

    // MARK: Callbacks

    fileprivate func read(into space: UnsafeMutableRawBufferPointer) -> Int {
        var filled = 0
        while filled < space.count, partIndex < request.body.count {
            let copied = request.body[partIndex].withUnsafeReadableBytes { bytes in
                let count = min(bytes.count - partOffset, space.count - filled)
                if count > 0 { memcpy(space.baseAddress! + filled, bytes.baseAddress! + partOffset, count) }
                return count
            }
            filled += copied
            partOffset += copied
            if partOffset == request.body[partIndex].readableBytes {
                partIndex += 1
                partOffset = 0
            }
        }
        bodyBytesSent += Int64(filled)
        return filled
    }

    /// libcurl begins again from the start when a kept connection turns out to be dead.
    fileprivate func rewind(to offset: Int64) -> Bool {
        guard offset == 0 else { return false }
        partIndex = 0
        partOffset = 0
        return true
    }

    fileprivate func received(header line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= Self.headerBytesMax else { return false }
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // A new block: what came before was an interim answer.
            headers.removeAll()
            return true
        }
        guard let colon = text.firstIndex(of: ":") else { return true }
        let name = text[..<colon].lowercased()
        let value = text[text.index(after: colon)...].trimmed
        headers.append((name, value))
        if name == "content-length", request.method != "HEAD", let length = Int64(value), length >= 0 {
            guard length <= request.responseBytesMax else {
                isTooLarge = true
                return false
            }
            body.reserveCapacity(Int(min(length, 64 << 20)))
        }
        return true
    }

    fileprivate func received(body bytes: UnsafeRawBufferPointer) -> Bool {
        guard Int64(body.readableBytes + bytes.count) <= request.responseBytesMax else {
            isTooLarge = true
            return false
        }
        body.writeBytes(bytes)
        return true
    }
}

private func transfer(_ context: UnsafeMutableRawPointer?) -> CurlTransfer {
    Unmanaged<CurlTransfer>.fromOpaque(context!).takeUnretainedValue()
}

private let readCallback: ninefold_curl_transfer_function = { bytes, size, count, context in
    transfer(context).read(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
}

private let writeCallback: ninefold_curl_transfer_function = { bytes, size, count, context in
    transfer(context).received(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private let headerCallback: ninefold_curl_transfer_function = { bytes, size, count, context in
    transfer(context).received(header: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private let seekCallback: ninefold_curl_seek_function = { context, offset, origin in
    origin == SEEK_SET && transfer(context).rewind(to: Int64(offset)) ? CInt(CURL_SEEKFUNC_OK) : CInt(CURL_SEEKFUNC_FAIL)
}

extension StringProtocol {
    /// Without spaces and line ends at both ends.
    var trimmed: String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\n" || $0 == "\r\n" }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else { return "" }
        return String(self[first...last])
    }
}
