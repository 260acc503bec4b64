"""Clusters of real ninefold processes for real Kafka clients."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

pytest.register_assert_rewrite("brokers")

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("NINEFOLD", str(ROOT / ".build/release/ninefold"))
MODES = ["isr", "tiered", "shared"]


class Cluster:
    """`ninefold dev` in a process group of its own, on ports that stay the same over a restart."""

    def __init__(self, mode, brokers=3, overrides=()):
        self.mode = mode
        self.brokers = brokers
        self.overrides = list(overrides)
        self.directory = tempfile.mkdtemp(prefix=f"ninefold-{mode}-")
        self.process = None
        self.port = 0

    def start(self):
        log = open(f"{self.directory}/dev.log", "ab")
        command = [
            PROGRAM, "dev", "--brokers", str(self.brokers), "--storage-mode", self.mode,
            "--data-dir", f"{self.directory}/data", "--port", str(self.port),
        ]
        for override in self.overrides:
            command += ["--override", override]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.process.stdout:
            found = re.match(r"bootstrap\.servers=(.*)", line)
            if found:
                self.bootstrap = found.group(1)
                break
        else:
            raise RuntimeError(f"ninefold dev did not start: {self.log()}")
        if self.port == 0:
            ports = [int(address.rsplit(":", 1)[1]) for address in self.bootstrap.split(",")]
            self.overrides = [o for o in self.overrides]
            self.first_ports = ports
        return self

    def log(self):
        return pathlib.Path(f"{self.directory}/dev.log").read_text()[-4000:]

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"ninefold dev did not stop in 60 s: {self.log()}")
        if self.process:
            self.process.stdout.close()

    def restart(self):
        """Stops and starts on the same data and ports."""
        self.stop()
        self.start()

    def remove(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port_block(size):
    """The first of `size` ports in a row that are free now, below those that the system gives to clients: a broker that is down must find
    its port again."""
    import random
    import socket

    for _ in range(200):
        first = random.randint(20_000, 32_000)
        sockets = []
        try:
            for port in range(first, first + size):
                s = socket.socket()
                sockets.append(s)
                s.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError("no free ports")


@pytest.fixture(scope="module", params=MODES)
def cluster(request):
    cluster = Cluster(request.param, overrides=getattr(request.module, "OVERRIDES", ()))
    cluster.port = free_port_block(cluster.brokers)
    cluster.start()
    yield cluster
    cluster.remove()


def eventually(check, timeout=60, interval=0.1):
    """Calls `check` until it is true or the time is over; returns its last value."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(interval)
