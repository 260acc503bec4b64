"""An S3 endpoint that refuses, stalls, hangs up, and loses answers after it has done what was asked: the brokers go on."""
import os
import random
import subprocess
import threading
import time
import urllib.request

import boto3
import pytest
from brokers import Brokers, Load
from conftest import ROOT, eventually, free_port_block
from counting_proxy import CountingProxy

MOTO = ROOT / ".venv/bin/moto_server"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}
SEED = int(os.environ.get("NINEFOLD_SEED", str(time.time_ns() % 1_000_000)))

pytestmark = pytest.mark.skipif(not MOTO.exists(), reason="moto_server is not installed in .venv")


class FailingProxy(CountingProxy):
    """While `failing`, a third of the requests meets one of four fates."""

    FATES = ["refused", "stalled", "hung up", "answer lost"]

    def __init__(self, port):
        self.failing = False
        # While it is clear, no request gets anywhere, nor is it refused.
        self.flowing = threading.Event()
        self.flowing.set()
        self.held = 0
        self.fates = dict.fromkeys(self.FATES, 0)
        self.randomness = random.Random(SEED)
        super().__init__(port)

    def fate(self):
        if not self.flowing.is_set():
            with self.lock:
                self.held += 1
            self.flowing.wait(300)
        with self.lock:
            if not self.failing or self.randomness.random() > 0.33:
                return None
            fate = self.randomness.choice(self.FATES)
            self.fates[fate] += 1
            return fate


@pytest.fixture(scope="module")
def moto():
    port = free_port_block(1)
    process = subprocess.Popen(
        [MOTO, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, **KEYS))

    def answers():
        assert process.poll() is None, "moto_server ended"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
            return True
        except OSError:
            return False

    assert eventually(answers)
    boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"]).create_bucket(Bucket="kept")
    yield port
    process.kill()
    process.wait()


@pytest.mark.parametrize("mode", ["tiered", "shared"])
def test_a_store_that_fails_in_every_way_loses_nothing(mode, moto):
    proxy = FailingProxy(moto)
    brokers = Brokers(
        mode, environment=dict(os.environ, **KEYS), object_store_url=f"s3://kept/{mode}?endpoint=http://127.0.0.1:{proxy.port}&region=us-east-1",
        wal_upload_threshold_bytes=1 << 20, wal_capacity_bytes=16 << 20)
    load = None
    try:
        brokers.start().wait()
        brokers.create("kept", local_retention_bytes=1 << 20)
        load = Load(brokers.bootstrap, "kept", rate=2_000).start()
        assert load.goes_on(2_000)
        proxy.failing = True
        assert load.goes_on(20_000, timeout=120), f"NINEFOLD_SEED={SEED}\n" + "\n".join(brokers.log(b)[-2000:] for b in brokers.ids)
        # A broker dies while the store fails, another takes over and reads what is there.
        brokers.kill(2)
        assert load.goes_on(4_000, timeout=120), f"NINEFOLD_SEED={SEED}\n" + "\n".join(brokers.log(b)[-2000:] for b in (1, 3))
        brokers.start(2)
        assert all(proxy.fates.values()), proxy.fates
        proxy.failing = False
        brokers.wait(2)
        assert load.goes_on(2_000)
        load.stop()
        assert load.verify() >= 28_000, f"NINEFOLD_SEED={SEED}"
        print(f"{mode}: {proxy.fates}, longest gap {load.longest:.1f} s")
    finally:
        if load:
            load.ending.set()
        brokers.remove()
        proxy.close()


@pytest.mark.parametrize("mode", ["tiered", "shared"])
def test_a_store_that_stalls_altogether_loses_nothing_and_needs_no_hands(mode, moto):
    """Requests are taken and not answered, for longer than the write-ahead log has room; then the store goes on as if nothing had been."""
    proxy = FailingProxy(moto)
    brokers = Brokers(
        mode, environment=dict(os.environ, **KEYS),
        object_store_url=f"s3://kept/stalled-{mode}?endpoint=http://127.0.0.1:{proxy.port}&region=us-east-1",
        wal_upload_threshold_bytes=1 << 20, wal_capacity_bytes=4 << 20)
    load = None
    try:
        brokers.start().wait()
        brokers.create("kept", local_retention_bytes=1 << 20)
        load = Load(brokers.bootstrap, "kept", rate=2_000).start()
        assert load.goes_on(4_000)
        proxy.flowing.clear()
        begun = load.count
        if mode == "shared":
            # Acknowledged is what the logs have room for, and no more.
            assert eventually(lambda: stands_still(load), 120), "a stalled store does not hold back the writes"
        else:
            assert load.goes_on(10_000, timeout=120), "the tier holds back the writes, which rest on the replicas"
        assert proxy.held > 0
        assert all(process.poll() is None for process in brokers.processes.values())
        assert load.count > begun
        proxy.flowing.set()
        assert load.goes_on(4_000, timeout=120), "\n".join(brokers.log(b)[-2000:] for b in brokers.ids)
        load.stop()
        load.verify()
    finally:
        proxy.flowing.set()
        if load:
            load.ending.set()
        brokers.remove()
        proxy.close()


def stands_still(load):
    count = load.count
    time.sleep(3)
    return load.count == count
