"""`ninefold compare` over an S3 endpoint: what it counts is what the endpoint saw."""
import json
import os
import pathlib
import subprocess
import time
import urllib.request

import boto3
import pytest

from conftest import PROGRAM, ROOT, free_port_block
from counting_proxy import KINDS, CountingProxy

MOTO = ROOT / ".venv/bin/moto_server"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret"}
COPIES = 3
# One request in so many of a mode's is turned away once: its retry must be counted too.
REFUSED = 23

pytestmark = pytest.mark.skipif(not MOTO.exists(), reason="moto_server is not installed in .venv")


@pytest.fixture(scope="module")
def moto():
    port = free_port_block(1)
    process = subprocess.Popen(
        [MOTO, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, **KEYS))
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "moto_server did not start"
            time.sleep(0.1)
    yield port
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def bucket(moto):
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{moto}", region_name="us-east-1", aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"])
    client.create_bucket(Bucket="compared")
    return client


def compare(directory, *arguments, environment=KEYS):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [PROGRAM, "compare", "--quick", "--data-dir", f"{directory}/data", "--output", f"{directory}/report", *arguments],
        env=dict(kept, **environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=280)


@pytest.fixture(scope="module")
def run(moto, bucket, tmp_path_factory):
    """Tiered and shared, every scenario, through the proxy."""
    directory = tmp_path_factory.mktemp("compare-s3")
    proxy = CountingProxy(moto, REFUSED, lambda text: "ninefold-probe" not in text and "/ninefold-" in text)
    url = f"s3://compared/some/prefix?endpoint=http://127.0.0.1:{proxy.port}&region=us-east-1&copies={COPIES}"
    done = compare(directory, "--modes", "tiered,shared", "--object-store", url)
    assert done.returncode == 0, done.stderr
    result = json.loads(pathlib.Path(f"{directory}/report/comparison.json").read_text())
    yield {"result": result, "modes": {mode["mode"]: mode for mode in result["modes"]}, "proxy": proxy, "text": done.stdout}
    proxy.close()


@pytest.mark.parametrize("mode", ["tiered", "shared"])
def test_requests_are_those_that_the_endpoint_saw(run, mode):
    counted = run["modes"][mode]["requests"]
    history = run["proxy"].counts_over_time(rf"/ninefold-[0-9-]+/{mode}/", without="ninefold-probe")
    assert set(counted) == set(KINDS)
    # The product counts until the load has settled; the run goes on. At one moment both have seen the same, kind by kind.
    assert counted in history, (counted, history[-1])
    assert counted["put"] > 0


@pytest.mark.parametrize("mode", ["tiered", "shared"])
def test_requests_that_were_turned_away_are_counted_and_lose_nothing(run, mode):
    sent = run["proxy"].matching_requests(rf"/ninefold-[0-9-]+/{mode}/", without="ninefold-probe")
    assert any(request.refused for request in sent)
    failover = run["modes"][mode]["failover"]
    assert failover["acknowledged"] > 0
    assert (failover["lost"], failover["duplicated"], failover["reordered"]) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["tiered", "shared"])
def test_object_bytes_are_those_put_times_the_copies_declared(run, mode):
    storage = run["modes"][mode]["storage"]
    media = {medium["medium"]: medium for medium in storage["byMedium"]}
    stored = sum(media[name]["physicalBytes"] for name in ("object", "garbage") if name in media)
    assert media["object"]["basis"] == "declared"
    assert {medium["basis"] for name, medium in media.items() if name not in ("object", "garbage")} == {"measured"}
    assert stored / COPIES in run["proxy"].bytes_over_time(rf"/ninefold-[0-9-]+/{mode}/")
    # Every logical byte lies in the object store, or still in the hot log or the WAL.
    assert storage["copies"] > 1


def test_copies_of_an_endpoint_are_declared_and_the_report_says_so(run):
    assert run["result"]["objectStore"]["basis"] == "declared"
    assert run["result"]["objectStore"]["copies"] == COPIES
    for mode in run["modes"].values():
        assert "declared" in mode["notMeasured"]["storage.objectCopies"]
    line = next(line for line in run["text"].splitlines() if line.strip().startswith("copies of record data"))
    assert line.endswith(" C")


def test_what_was_not_measured_is_null_with_a_reason(run, bucket, moto, tmp_path):
    url = f"s3://compared/other?endpoint=http://127.0.0.1:{moto}&region=us-east-1"
    done = compare(tmp_path, "--modes", "shared", "--scenarios", "footprint", "--object-store", url, "--format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads((tmp_path / "report/comparison.json").read_text())
    mode = result["modes"][0]
    for field in ("steady", "reassignment", "failover"):
        assert mode[field] is None
        assert mode["notMeasured"][field] == "not asked for"
    assert "declares none" in mode["notMeasured"]["storage.objectCopies"]
    for name, value in mode["network"].items():
        assert value is not None or f"network.{name}" in mode["notMeasured"]


def test_a_run_leaves_no_object_behind(run, bucket):
    listed = bucket.list_objects_v2(Bucket="compared")
    assert [entry["Key"] for entry in listed.get("Contents", [])] == []


def test_without_its_bucket_nothing_is_started_and_one_line_says_what_to_do(moto, tmp_path):
    url = f"s3://nobodys/prefix?endpoint=http://127.0.0.1:{moto}"
    done = compare(tmp_path, "--object-store", url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "nobodys" in done.stderr and "NoSuchBucket" in done.stderr and "make the bucket or name another one" in done.stderr
    assert not (tmp_path / "data").exists()


def test_without_credentials_one_line_names_them(moto, tmp_path):
    done = compare(tmp_path, "--object-store", f"s3://compared/p?endpoint=http://127.0.0.1:{moto}", environment={})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "AWS_ACCESS_KEY_ID" in done.stderr


def test_a_directory_that_is_named_is_measured_and_left_empty(tmp_path):
    objects = tmp_path / "objects"
    done = compare(
        tmp_path, "--modes", "shared", "--scenarios", "footprint", "--object-store", f"file://{objects}?copies=2", environment={})
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "report/comparison.json").read_text())
    storage = result["modes"][0]["storage"]
    assert (result["objectStore"]["basis"], result["objectStore"]["copies"]) == ("measured", 2)
    held = {medium["medium"]: medium for medium in storage["byMedium"]}["object"]
    assert held["basis"] == "measured"
    assert held["physicalBytes"] >= held["recordBytes"] > 0
    assert storage["copies"] == pytest.approx(2, abs=0.1)
    assert list(objects.iterdir()) == []
