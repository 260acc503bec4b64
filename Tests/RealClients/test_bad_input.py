"""Bad input: one clear line on standard error, the right exit code, nothing damaged; and a broker that goes on serving."""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from conftest import PROGRAM, eventually, free_port_block
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

RCLONE = pathlib.Path(sys.executable).parent / "rclone"
CRASH = re.compile(r"Fatal error|Stack dump|\*\*\* |Crash|Thread \d+ |backtrace", re.IGNORECASE)


# MARK: Running the program

def run(*arguments, timeout=25, cwd=None, environment=None):
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, cwd=cwd,
        env={**os.environ, **(environment or {})})


def assert_one_line(outcome, *words, code=1):
    """The run ended with `code` and exactly one line on standard error, which has all of `words`."""
    lines = outcome.stderr.strip().splitlines()
    assert outcome.returncode == code, (outcome.returncode, outcome.stderr)
    assert not CRASH.search(outcome.stderr), outcome.stderr
    assert len(lines) == 1, outcome.stderr
    for word in words:
        assert str(word) in lines[0], (word, lines[0])
    assert outcome.stdout == ""


def assert_usage(outcome, *words):
    assert outcome.returncode == 64, (outcome.returncode, outcome.stderr)
    first = outcome.stderr.splitlines()[0]
    assert first.startswith("Error: "), outcome.stderr
    for word in words:
        assert word in outcome.stderr, (word, outcome.stderr)


def settings(directory, **changes):
    """A configuration of one broker that works, with `changes` (`node_id` for node.id; None takes a key away)."""
    values = {
        "node.id": 1, "listeners": "PLAINTEXT://127.0.0.1:0", "metrics.listener": "http://127.0.0.1:0",
        "log.dirs": directory / "data", "metadata.store.url": f"sqlite://{directory}/metadata.db",
        "object.store.url": f"file://{directory}/objects", "storage.mode": "shared", "wal.capacity.bytes": 8 << 20,
        "wal.upload.threshold.bytes": 1 << 20, "broker.session.timeout.ms": 1_500, "default.replication.factor": 1,
        "min.insync.replicas": 1, "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 2,
        "group.initial.rebalance.delay.ms": 0,
    }
    for key, value in changes.items():
        values[key.replace("_", ".")] = value
    return {key: value for key, value in values.items() if value is not None}


def write_settings(directory, values=None, text=None, name="server.properties"):
    path = directory / name
    path.write_text(text if text is not None else "".join(f"{key}={value}\n" for key, value in values.items()))
    return path


def serve_and_fail(directory, **changes):
    return run("serve", "--config", write_settings(directory, settings(directory, **changes)))


class Broker:
    """`ninefold serve` in the background."""

    def __init__(self, directory, **changes):
        self.directory = directory
        self.changes = changes
        self.log_path = directory / "broker.log"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self):
        ready = self.directory / "ready.json"
        ready.unlink(missing_ok=True)
        config = write_settings(self.directory, settings(self.directory, **self.changes))
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--config", config, "--ready-file", ready], stdout=subprocess.DEVNULL, stderr=open(self.log_path, "ab"))
        assert eventually(lambda: ready.exists() or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.log
        ports = json.loads(ready.read_text())
        self.port, self.metrics = ports["port"], ports["metricsPort"]
        self.bootstrap = f"127.0.0.1:{self.port}"
        return self

    @property
    def log(self):
        return self.log_path.read_text()

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(timeout=60)

    def assert_serving(self, topic="still-here"):
        """A client of its own writes and reads: whatever happened before did no harm."""
        value = os.urandom(8).hex()
        assert self.process.poll() is None, self.log
        subprocess.run(
            ["kcat", "-b", self.bootstrap, "-P", "-t", topic, "-p", "0"], input=value, text=True, check=True, timeout=60, capture_output=True)
        read = subprocess.run(
            ["kcat", "-b", self.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"], text=True, check=True,
            timeout=60, capture_output=True).stdout
        assert value in read.split()
        assert not CRASH.search(self.log), self.log


# MARK: Configuration

def test_a_file_that_is_not_there(tmp_path):
    assert_one_line(run("serve", "--config", tmp_path / "none.properties"), tmp_path / "none.properties", "cannot be read")


def test_an_unknown_key_is_named_and_the_broker_starts(tmp_path):
    with Broker(tmp_path, log_flush_offset_checkpont_interval=5) as broker:
        warnings = [line for line in broker.log.splitlines() if "log.flush.offset.checkpont.interval" in line]
        assert len(warnings) == 1 and "warning" in warnings[0].lower()
        assert broker.stop() == 0


@pytest.mark.parametrize("key, value, allowed", [
    ("storage.mode", "fast", "isr, tiered, shared"),
    ("node.id", "one", "whole number"),
    ("node.id", "-1", "whole number"),
    ("listeners", "127.0.0.1:9092", "NAME://HOST:PORT"),
    ("listeners", "SSL://127.0.0.1:9092", "PLAINTEXT"),
    ("listeners", "PLAINTEXT://127.0.0.1:99999", "NAME://HOST:PORT"),
    ("broker.session.timeout.ms", "soon", "whole number"),
    ("wal.capacity.bytes", "99999999999999999999999", "whole number"),
    ("wal.upload.threshold.bytes", 7 << 20, "wal.capacity.bytes"),
    ("min.insync.replicas", "0", "min.insync.replicas"),
    ("log.segment.bytes", "many", "log.segment.bytes"),
    ("metadata.store.url", "etcd://127.0.0.1:2379", "sqlite://"),
    ("object.store.url", "ftp://somewhere", "s3://"),
    ("volume.copies", "0", "from 1"),
    ("log.dirs", "/tmp/a,/tmp/a", "different directories"),
    ("log.dirs", "replicated:x:/tmp/a", "replicated:"),
])
def test_a_bad_value_names_key_value_and_what_is_allowed(tmp_path, key, value, allowed):
    outcome = serve_and_fail(tmp_path, **{key: value})
    assert_one_line(outcome, key, value, allowed)
    assert not (tmp_path / "data").exists() or key in ("min.insync.replicas", "log.segment.bytes", "object.store.url", "metadata.store.url")


@pytest.mark.parametrize("key", ["node.id", "log.dirs"])
def test_a_missing_key(tmp_path, key):
    assert_one_line(serve_and_fail(tmp_path, **{key: None}), f"{key} is missing", f"{key}=")


@pytest.mark.parametrize("text, line", [("node.id=1\n=value\n", "line 2"), ("node.id=1\n\nlog.dirs=\\u12\n", "line 3")])
def test_a_syntax_error_names_its_line(tmp_path, text, line):
    path = write_settings(tmp_path, text=text)
    assert_one_line(run("serve", "--config", path), path, line)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "server.properties"
    path.write_bytes(os.urandom(256) + b"\xff\xfe")
    assert_one_line(run("serve", "--config", path), path)


# MARK: Ports, directories

@pytest.mark.parametrize("key, scheme", [("listeners", "PLAINTEXT"), ("metrics.listener", "http")])
def test_a_port_in_use(tmp_path, key, scheme):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_one_line(serve_and_fail(tmp_path, **{key: f"{scheme}://127.0.0.1:{port}"}), str(port), "in use", "another port")
    # The failed start left nothing that keeps the next one off.
    with Broker(tmp_path) as broker:
        broker.assert_serving()


@pytest.mark.parametrize("key", ["log.dirs", "wal.path", "metadata.store.url", "object.store.url"])
def test_a_file_in_place_of_a_directory(tmp_path, key):
    (tmp_path / "file").write_text("mine")
    prefix = {"metadata.store.url": "sqlite://", "object.store.url": "file://"}.get(key, "")
    outcome = serve_and_fail(tmp_path, **{key: f"{prefix}{tmp_path}/file/data"})
    assert_one_line(outcome, f"{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_directory_that_nobody_may_write(tmp_path):
    assert_one_line(serve_and_fail(tmp_path, **{"log.dirs": "/proc/ninefold"}), "log.dirs", "/proc/ninefold", "cannot be written")


# MARK: Data of others

def make_data(directory, **changes):
    with Broker(directory, **changes) as broker:
        broker.assert_serving("kept")
        assert broker.stop() == 0


def everything(directory):
    """Content of all files but SQLite's, which may be checkpointed by whoever opens them."""
    return {
        path: path.read_bytes() for path in sorted(directory.rglob("*"))
        if path.is_file() and "metadata.db" not in path.name and path.name not in ("server.properties", "broker.log", "ready.json")}


def test_another_modes_data(tmp_path):
    make_data(tmp_path)
    before = everything(tmp_path)
    assert_one_line(serve_and_fail(tmp_path, storage_mode="memory"), tmp_path / "data", "storage.mode=shared", "memory")
    assert everything(tmp_path) == before


def test_another_brokers_data(tmp_path):
    make_data(tmp_path)
    before = everything(tmp_path)
    assert_one_line(serve_and_fail(tmp_path, node_id=2), tmp_path / "data", "broker 1", "broker 2", "node.id")
    assert everything(tmp_path) == before


def test_another_clusters_data(tmp_path):
    make_data(tmp_path)
    before = everything(tmp_path)
    assert_one_line(
        serve_and_fail(tmp_path, metadata_store_url=f"sqlite://{tmp_path}/other.db"), tmp_path / "data", "cluster", "metadata.store.url")
    left = everything(tmp_path)
    assert {path: left.get(path) for path in before} == before


@pytest.mark.parametrize("mark, word", [
    ('{"layout":99,"somethingNew":true}', "newer version"), ('{"layout":99,"nodeID":1,"storageMode":"shared"}', "newer version"),
    ("{", "damaged"), ("", "damaged"), ("[]", "damaged")])
def test_a_newer_or_damaged_mark(tmp_path, mark, word):
    make_data(tmp_path)
    path = tmp_path / "data" / "ninefold.json"
    good = path.read_text()
    path.write_text(mark)
    before = everything(tmp_path)
    assert_one_line(serve_and_fail(tmp_path), tmp_path / "data", word)
    assert everything(tmp_path) == before
    path.write_text(good)
    with Broker(tmp_path) as broker:
        broker.assert_serving("kept")


def test_a_damaged_metadata_store(tmp_path):
    make_data(tmp_path)
    store = tmp_path / "metadata.db"
    for path in tmp_path.glob("metadata.db-*"):
        path.unlink()
    store.write_bytes(os.urandom(8192))
    damaged = store.read_bytes()
    assert_one_line(serve_and_fail(tmp_path), store)
    assert store.read_bytes() == damaged


def test_a_newer_metadata_store(tmp_path):
    import sqlite3

    make_data(tmp_path)
    store = tmp_path / "metadata.db"
    with sqlite3.connect(store) as database:
        version = database.execute("pragma user_version").fetchone()[0]
        database.execute(f"pragma user_version = {version + 1000}")
    database.close()
    assert_one_line(serve_and_fail(tmp_path), store, "newer")


def test_a_second_broker_with_the_same_id(tmp_path):
    with Broker(tmp_path) as broker:
        config = write_settings(tmp_path, settings(tmp_path, **{"log.dirs": tmp_path / "second"}), name="second.properties")
        outcome = run("serve", "--config", config)
        assert outcome.returncode == 1
        assert "node.id 1 is in use" in outcome.stderr.splitlines()[-1] and broker.bootstrap in outcome.stderr
        assert not CRASH.search(outcome.stderr)
        broker.assert_serving()


# MARK: Object stores

class Forbidding(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = (b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message>'
                b"<RequestId>1</RequestId></Error>")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


KEYS = {"AWS_ACCESS_KEY_ID": "test-key-id", "AWS_SECRET_ACCESS_KEY": "test-secret-never-shown"}


def serve_on_s3(directory, port, environment=KEYS):
    values = settings(directory, object_store_url=f"s3://bucket/prefix?endpoint=http://127.0.0.1:{port}&region=us-east-1")
    return run("serve", "--config", write_settings(directory, values), environment=environment)


def test_an_endpoint_that_is_not_there(tmp_path):
    port = free_port_block(1)
    began = time.monotonic()
    outcome = serve_on_s3(tmp_path, port)
    assert_one_line(outcome, f"127.0.0.1:{port}")
    assert time.monotonic() - began < 60
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in outcome.stderr


def test_an_endpoint_that_forbids(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        outcome = serve_on_s3(tmp_path, server.server_port)
        server.shutdown()
    assert_one_line(outcome, "bucket", "403")
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in outcome.stderr


def test_no_credentials(tmp_path):
    outcome = serve_on_s3(tmp_path, 1, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    assert_one_line(outcome, "AWS_ACCESS_KEY_ID")


def test_a_store_that_ignores_conditions(tmp_path):
    if not RCLONE.exists():
        pytest.skip("rclone is not installed beside this Python")
    port = free_port_block(1)
    (tmp_path / "s3" / "bucket").mkdir(parents=True)
    store = subprocess.Popen(
        [RCLONE, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", ",".join(KEYS.values()), tmp_path / "s3"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        assert eventually(listens, 20)
        assert_one_line(serve_on_s3(tmp_path, port), f"127.0.0.1:{port}", "If-None-Match")
    finally:
        store.kill()
        store.wait()


# MARK: Other commands

@pytest.mark.parametrize("arguments, words", [
    (["compare", "--modes", "isr,fast"], ["--modes fast", "isr, tiered, tiered+last-tiered, shared"]),
    (["compare", "--modes", ""], ["--modes"]),
    (["compare", "--scenarios", "all"], ["--scenarios all", "steady"]),
    (["compare", "--format", "xml"], ["--format xml", "table and json"]),
    (["compare", "--seed", "-1"], ["--seed"]),
    (["compare", "--volume", "replicated:0:/tmp/x"], ["--volume"]),
    (["compare", "--volume", "replicated:3"], ["--volume"]),
    (["compare", "--object-store", "ftp://x"], ["--object-store"]),
    (["dev", "--brokers", "0"], ["--brokers 0", "1 to 9"]),
    (["dev", "--storage-mode", "fast"], ["--storage-mode fast", "shared"]),
    (["dev", "--override", "nonsense", "--port", "0"], ["--override nonsense", "KEY=VALUE"]),
    (["serve"], ["--config"]),
    (["trace", "--bootstrap-server", "127.0.0.1:1", "--topic", "t"], ["--partition"]),
    (["trace", "--bootstrap-server", "nowhere", "--topic", "t", "--partition", "0", "--offset", "0"], ["--bootstrap-server", "HOST:PORT"]),
    (["frobnicate"], ["frobnicate"]),
    (["compare", "--frobnicate"], ["--frobnicate"]),
])
def test_bad_usage(tmp_path, arguments, words):
    assert_usage(run(*arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_bootstrap_server_where_nobody_listens(tmp_path):
    port = free_port_block(1)
    outcome = run("trace", "--bootstrap-server", f"127.0.0.1:{port}", "--topic", "t", "--partition", 0, "--offset", 0)
    assert_one_line(outcome, f"127.0.0.1:{port}")


SHEET = pathlib.Path(__file__).resolve().parents[2] / "Sources/Metering/PriceSheets/aws-us-east-1.json"


def test_a_truncated_price_sheet(tmp_path):
    path = tmp_path / "prices.json"
    found = list((SHEET.parents[1]).rglob("aws-us-east-1.json"))
    path.write_text(found[0].read_text()[:1_000])
    outcome = run("compare", "--quick", "--prices", path, "--data-dir", tmp_path / "data", "--output", tmp_path / "out")
    assert_one_line(outcome, path, "not whole JSON")
    assert not (tmp_path / "data").exists() and not (tmp_path / "out").exists()
    assert_one_line(run("compare", "--quick", "--prices", "nosuch", "--data-dir", tmp_path / "data"), "nosuch", "aws-us-east-1")


@pytest.mark.parametrize("command", ["cost", "report"])
@pytest.mark.parametrize("content, word", [(None, "cannot be read"), ("{\"schema\":", "comparison.json"), ("{}", "comparison.json")])
def test_a_result_that_is_none(tmp_path, command, content, word):
    path = tmp_path / "comparison.json"
    if content is not None:
        path.write_text(content)
    assert_one_line(run(command, path, cwd=tmp_path), path, word)


def test_too_little_disk(tmp_path):
    with tmpfs(tmp_path / "small", 16) as directory:
        outcome = run("compare", "--quick", "--modes", "shared", "--data-dir", directory / "data", "--output", tmp_path / "out")
        assert_one_line(outcome, directory, "free", "--quick")
        assert list(directory.iterdir()) == [] and not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "out").write_text("mine")
    outcome = run("compare", "--quick", "--modes", "shared", "--data-dir", tmp_path / "data", "--output", tmp_path / "out")
    # Said before the minutes of a run, not after them.
    assert_one_line(outcome, tmp_path / "out", "--output")
    assert (tmp_path / "out").read_text() == "mine" and not (tmp_path / "data").exists()


def test_an_error_in_a_workload_names_its_line(tmp_path):
    if not re.search(r"^ +bench ", run("--help").stdout, re.MULTILINE):
        pytest.skip("this build has no bench command")
    path = tmp_path / "workload.yaml"
    path.write_text("name: bad\ntopics: 1\npartitionsPerTopic: many\nmessageSize: 1024\n")
    outcome = run("bench", "--bootstrap-server", "127.0.0.1:1", "--workload", path)
    assert_one_line(outcome, path, "3", "partitionsPerTopic", code=outcome.returncode)
    assert outcome.returncode in (1, 64)


# MARK: Ctrl-C

def processes_naming(text):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


@pytest.mark.parametrize("to_group", [False, True], ids=["to the program", "to the terminal's group"])
def test_ctrl_c_in_the_midst_of_compare(tmp_path, to_group):
    process = subprocess.Popen(
        [PROGRAM, "compare", "--modes", "shared", "--scenarios", "steady", "--data-dir", tmp_path / "data", "--output", tmp_path / "out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "steady load" in line or "warming up" in line:
            break
    else:
        process.wait()
        pytest.fail("".join(seen))
    assert len(processes_naming(str(tmp_path))) > 3
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130, rest
    assert not CRASH.search(rest), rest
    assert eventually(lambda: processes_naming(str(tmp_path)) == [], 10)
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "out").exists()


def test_ctrl_c_of_dev_is_a_clean_stop(tmp_path):
    process = subprocess.Popen(
        [PROGRAM, "dev", "--port", "0", "--storage-mode", "shared", "--data-dir", tmp_path / "data"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("bootstrap.servers"):
            bootstrap = line.strip().split("=")[1]
            break
    subprocess.run(["kcat", "-b", bootstrap, "-P", "-t", "t"], input="hello", text=True, check=True, timeout=60, capture_output=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopping" in out and not CRASH.search(err)


# MARK: Clients that send garbage

def connect(broker):
    client = socket.create_connection(("127.0.0.1", broker.port), timeout=20)
    client.settimeout(20)
    return client


def frame(key, version, body, correlation=7, client=b"garbage"):
    payload = struct.pack(">hhih", key, version, correlation, len(client)) + client + body
    return struct.pack(">i", len(payload)) + payload


def answer(client):
    """The next response without its length; None if the connection was closed."""
    data = b""
    try:
        while len(data) < 4 or len(data) < 4 + struct.unpack(">i", data[:4])[0]:
            more = client.recv(65536)
            if not more:
                return None
            data += more
    except ConnectionError:
        return None
    return data[4:]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("garbage"), socket_request_max_bytes=1 << 20) as broker:
        broker.assert_serving()
        yield broker


def test_random_bytes(broker):
    for length in (1, 3, 4, 17, 300, 5_000):
        with connect(broker) as client:
            # The first bytes of random data are mostly a huge length; this one is followed through.
            client.sendall(struct.pack(">i", length) + os.urandom(length))
            assert answer(client) is None
        with connect(broker) as client:
            try:
                client.sendall(b"\x7f" + os.urandom(length))
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The broker was faster to close.
            assert answer(client) is None
    broker.assert_serving()


@pytest.mark.parametrize("length", [0x7FFFFFFF, (1 << 20) + 1, -1, -0x80000000, 0])
def test_a_length_that_cannot_be(broker, length):
    with connect(broker) as client:
        client.sendall(struct.pack(">i", length) + b"\x00" * 64)
        assert answer(client) is None
    broker.assert_serving()


def test_half_a_request_and_nothing_more(broker):
    clients = [connect(broker) for _ in range(20)]
    for client in clients:
        client.sendall(frame(18, 0, b"")[:9])
    broker.assert_serving()
    for client in clients:
        client.close()


def test_http_on_the_brokers_port(broker):
    with connect(broker) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer(client) is None
    broker.assert_serving()


@pytest.mark.parametrize("key, version", [(9_999, 0), (-1, 0), (3, 999), (0, -3)])
def test_an_api_or_version_that_is_not_announced(broker, key, version):
    with connect(broker) as client:
        client.sendall(frame(key, version, b"\x00" * 32))
        assert answer(client) is None
    broker.assert_serving()


def test_a_version_of_api_versions_that_is_not_known_is_answered(broker):
    with connect(broker) as client:
        client.sendall(frame(18, 99, b"\x00" * 16))
        reply = answer(client)
        # UNSUPPORTED_VERSION in a response of version 0, whatever was asked.
        assert reply is not None and struct.unpack(">ih", reply[:6]) == (7, 35)
    broker.assert_serving()


def test_lengths_within_a_request_that_cannot_be(broker):
    # Metadata v1 with 2^31-1 topics; Produce v3 with a transactional id longer than the frame.
    for request in (frame(3, 1, struct.pack(">i", 0x7FFFFFFF)), frame(0, 3, struct.pack(">h", 0x7FFF) + b"x")):
        with connect(broker) as client:
            client.sendall(request)
            assert answer(client) is None
    broker.assert_serving()


def produce_request(topic, partition, records, acks=-1):
    name = topic.encode()
    return frame(0, 7, struct.pack(">hhii", -1, acks, 10_000, 1) + struct.pack(">h", len(name)) + name + struct.pack(
        ">iii", 1, partition, len(records)) + records)


def produce_error(reply, topic):
    # Correlation id, one topic, its name, one partition, its number, the error code.
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    return struct.unpack(">h", reply[at:at + 2])[0]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def batch(value=b"hello", crc_error=0, magic=2, last_delta=0):
    record = b"\x00\x00\x00\x01" + bytes([len(value) << 1]) + value + b"\x00"
    body = struct.pack(">hiqqqhii", 0, last_delta, 1, 1, -1, -1, -1, 1) + bytes([len(record) << 1]) + record
    return struct.pack(">qiibI", 0, len(body) + 9, -1, magic, crc32c(body) ^ crc_error) + body


def test_a_batch_by_hand_and_the_same_with_a_wrong_crc(broker):
    def send(records, topic="still-here"):
        with connect(broker) as client:
            client.sendall(produce_request(topic, 0, records))
            reply = answer(client)
            return None if reply is None else produce_error(reply, topic)

    assert send(batch()) == 0
    corrupt_message, invalid_record, unknown_topic = 2, 87, 3
    assert send(batch(crc_error=1)) == corrupt_message
    assert send(batch()[:-3]) in (corrupt_message, invalid_record)
    assert send(batch(last_delta=5)) in (corrupt_message, invalid_record)
    assert send(os.urandom(200)) in (corrupt_message, invalid_record, 43, 76)
    assert send(batch(), topic="there-is-none-such") == unknown_topic
    broker.assert_serving()


def test_an_unknown_topic_and_names_that_cannot_be(broker):
    for topic in ("no spaces", "a" * 250, "..", "slash/ed"):
        with pytest.raises(KafkaException):
            for future in AdminClient({"bootstrap.servers": broker.bootstrap}).create_topics([NewTopic(topic, 1, 1)]).values():
                future.result(30)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "allow.auto.create.topics": False})
    with pytest.raises(KafkaException):
        consumer.get_watermark_offsets(TopicPartition("there-is-none-such", 0), timeout=10)
    consumer.close()
    broker.assert_serving()


def test_garbage_for_the_metrics_listener(broker):
    for request in (b"\x00\x01\x02\x03\r\n\r\n", b"GET /v1/copies?topic=%zz&partition=x HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", os.urandom(400)):
        with socket.create_connection(("127.0.0.1", broker.metrics), timeout=20) as client:
            client.settimeout(20)
            try:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                first = client.recv(4096)
            except OSError:
                first = b""  # Closed without a word.
            assert b" 200 " not in first[:16]
    broker.assert_serving()


# MARK: A full disk

class tmpfs:
    """A small disk of its own; skips the test where none can be mounted."""

    def __init__(self, directory, mebibytes):
        self.directory, self.mebibytes = directory, mebibytes

    def __enter__(self):
        self.directory.mkdir()
        mount = shutil.which("mount")
        outcome = mount and subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={self.mebibytes}m", "none", self.directory], capture_output=True)
        if not outcome or outcome.returncode != 0:
            pytest.skip("a small disk cannot be mounted here (it takes root)")
        return self.directory

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.directory], check=True)


@pytest.mark.parametrize("mode", ["shared", "isr"])
@pytest.mark.parametrize("restarts", [False, True], ids=["goes on", "restarts"])
def test_a_disk_that_runs_full(tmp_path, mode, restarts):
    with tmpfs(tmp_path / "disk", 64) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(32 << 20))
        # Metadata elsewhere: here the disk of the data is full.
        changes = {
            "storage.mode": mode, "log.dirs": disk / "data", "object.store.url": f"file://{disk}/objects", "log.segment.bytes": 4 << 20,
            "wal.upload.interval.ms": 500, "object.delete.retention.ms": 500,
            # A busy machine is no dead broker.
            "broker.session.timeout.ms": 9_000}
        with Broker(tmp_path, **changes) as broker:
            admin = AdminClient({"bootstrap.servers": broker.bootstrap})
            try:
                for future in admin.create_topics([NewTopic("filling", 1, 1)]).values():
                    future.result(20)
            except KafkaException:
                if "does not run" in broker.log:
                    pytest.skip(f"this build has no engine for storage.mode={mode}")
                raise
            acknowledged, failed = {}, []

            def delivered(error, message):
                if error:
                    failed.append(error)
                else:
                    acknowledged[message.offset()] = message.value()

            producer = Producer({
                "bootstrap.servers": broker.bootstrap, "acks": "all", "message.timeout.ms": 6_000, "linger.ms": 5,
                "queue.buffering.max.messages": 32})
            deadline = time.monotonic() + 120
            while not failed and time.monotonic() < deadline:
                try:
                    producer.produce("filling", os.urandom(64 << 10), on_delivery=delivered)
                except BufferError:
                    pass
                producer.poll(0.005)
            # What has not been sent yet is given up, lest it fill the freed space too.
            producer.purge()
            producer.flush(10)
            assert failed, "nothing failed although the disk is full"
            assert acknowledged
            assert broker.process.poll() is None, broker.log
            assert not CRASH.search(broker.log), broker.log[-3000:]
            assert re.search(r"full|space", broker.log, re.IGNORECASE), broker.log[-3000:]

            ballast.unlink()
            if restarts:
                broker.stop(signal.SIGKILL)
                broker.start()
            # What was acknowledged is there, and writing goes on.
            after = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "message.timeout.ms": 40_000})
            errors = []
            after.produce("filling", b"after", on_delivery=lambda error, _: errors.append(error))
            after.flush(45)
            assert errors == [None], (errors, broker.log[-3000:])
            consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", "enable.partition.eof": False})
            consumer.assign([TopicPartition("filling", 0, 0)])
            seen = {}

            def complete():
                for message in consumer.consume(200, 1.0):
                    assert message.error() is None, message.error()
                    seen[message.offset()] = message.value()
                return acknowledged.keys() <= seen.keys() and b"after" in seen.values()

            assert eventually(complete, 60, 0), f"{len(acknowledged.keys() - seen.keys())} of {len(acknowledged)} are missing"
            assert all(seen[offset] == value for offset, value in acknowledged.items())
            consumer.close()
