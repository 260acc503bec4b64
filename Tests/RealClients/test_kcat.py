"""kcat (librdkafka 2.0): a file of a million lines there and back."""
import hashlib
import random
import shutil
import subprocess

import pytest

LINES = 1_000_000

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("kcat") / "lines"
    generator = random.Random(9)
    with open(path, "w") as file:
        for number in range(LINES):
            file.write(f"{number} {generator.getrandbits(64):x}\n")
    return path


def test_million_lines_come_back_equal(cluster, lines):
    with open(lines, "rb") as file:
        subprocess.run(
            ["kcat", "-b", cluster.bootstrap, "-P", "-t", "million", "-p", "0", "-X", "enable.idempotence=true", "-X", "linger.ms=20"],
            stdin=file, check=True, timeout=300)
    consumed = subprocess.run(
        ["kcat", "-b", cluster.bootstrap, "-C", "-t", "million", "-p", "0", "-o", "beginning", "-e", "-q"],
        stdout=subprocess.PIPE, check=True, timeout=300).stdout
    assert consumed.count(b"\n") == LINES
    assert hashlib.sha256(consumed).hexdigest() == hashlib.sha256(lines.read_bytes()).hexdigest()


def test_metadata_lists_every_broker_and_the_topic(cluster):
    listing = subprocess.run(["kcat", "-b", cluster.bootstrap, "-L"], stdout=subprocess.PIPE, check=True, timeout=60, text=True).stdout
    assert f"{cluster.brokers} brokers" in listing
    assert 'topic "million"' in listing
