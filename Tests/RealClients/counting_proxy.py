"""A reverse proxy before an S3 endpoint: it sees every request the product really sends, and can turn some away."""
import http.client
import http.server
import re
import threading
import time
import urllib.parse
import xml.etree.ElementTree as xml

KINDS = ["put", "get", "head", "list", "delete", "multipart"]
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Request:
    """One request in the order of arrival: its kind, what it names, and the object bytes that lay below its mode's prefix after it."""

    def __init__(self, kind, text, refused):
        self.kind = kind
        self.text = text
        self.refused = refused


def kind_of(method, query):
    """As the S3 API names operations; `multipart` is create, upload part, complete and abort."""
    names = urllib.parse.parse_qs(query, keep_blank_values=True)
    if "uploads" in names or "uploadId" in names:
        return "multipart"
    if method == "POST" and "delete" in names:
        return "delete"
    if method == "GET" and "list-type" in names:
        return "list"
    return {"PUT": "put", "GET": "get", "HEAD": "head", "DELETE": "delete"}[method]


class CountingProxy:
    """Forwards to 127.0.0.1:`port`. Every `refuse_every`-th request that matches `refuse_if` gets 503 SlowDown and goes no further."""

    def __init__(self, port, refuse_every=0, refuse_if=lambda text: True):
        self.requests = []
        self.objects = {}
        self.sizes = []
        self.lock = threading.Lock()
        self.matching = 0
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                self.upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

            def finish(self):
                self.upstream.close()
                super().finish()

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path, _, query = self.path.partition("?")
                kind = kind_of(self.command, query)
                text = urllib.parse.unquote(path) + "?" + urllib.parse.unquote(query)
                if kind == "delete" and self.command == "POST":
                    text += " " + body.decode()
                with proxy.lock:
                    matches = refuse_every and refuse_if(text)
                    proxy.matching += bool(matches)
                    refused = bool(matches) and proxy.matching % refuse_every == 0
                    proxy.requests.append(Request(kind, text, refused))
                if refused:
                    return self.reply(503, [("Content-Type", "application/xml")], SLOW_DOWN)
                fate = proxy.fate()
                if fate == "refused":
                    return self.reply(503, [("Content-Type", "application/xml")], SLOW_DOWN)
                if fate == "stalled":
                    time.sleep(4)
                if fate == "hung up":
                    self.close_connection = True
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
                self.upstream.request(self.command, self.path, body=body, headers=headers)
                response = self.upstream.getresponse()
                content = response.read()
                if fate == "answer lost":
                    self.close_connection = True
                    return
                with proxy.lock:
                    proxy.keep_account(self.command, urllib.parse.unquote(path), kind, body, response.status)
                kept = [(n, v) for n, v in response.getheaders() if n.lower() not in ("connection", "transfer-encoding", "content-length")]
                length = response.getheader("content-length") if self.command == "HEAD" else None
                self.reply(response.status, kept, content, length)

            def reply(self, status, headers, content, length=None):
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def fate(self):
        """What becomes of the next request; for those who make it fail."""
        return None

    def keep_account(self, method, path, kind, body, status):
        """Keeps the sizes of the objects that are there. Multipart uploads are not followed: a test that makes them must not ask."""
        key = path.split("/", 2)[-1]
        if kind == "put" and status == 200:
            self.objects[key] = len(body)
        elif kind == "delete" and method == "DELETE" and status < 300:
            self.objects.pop(key, None)
        elif kind == "delete" and status == 200:
            for element in xml.fromstring(body).iter():
                if element.tag.rpartition("}")[2] == "Key":
                    self.objects.pop(element.text, None)
        else:
            return
        self.sizes.append(dict(self.objects))

    def matching_requests(self, pattern, without=None):
        """Requests that name `pattern`, those which name `without` left out."""
        with self.lock:
            return [r for r in self.requests if re.search(pattern, r.text) and not (without and without in r.text)]

    def counts_over_time(self, pattern, without=None):
        """The counts by kind after each of the requests, in their order."""
        counts = dict.fromkeys(KINDS, 0)
        history = [dict(counts)]
        for request in self.matching_requests(pattern, without):
            counts[request.kind] += 1
            history.append(dict(counts))
        return history

    def bytes_over_time(self, pattern):
        """What the objects whose keys match took together, after each change."""
        with self.lock:
            return {sum(size for key, size in objects.items() if re.search(pattern, key)) for objects in self.sizes}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
