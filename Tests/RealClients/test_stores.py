"""Real stores below the broker: a GlusterFS volume of three copies, and Ceph's S3 gateway. Both are Debian's own packages."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import PROGRAM, ROOT, Cluster, eventually, free_port_block

SCRIPTS = ROOT / "Scripts/stores"
# What the scripts end with where the machine lacks root, packages or /dev/fuse.
LACKING = 69


def started(script, directory, environment=None):
    """Starts a store; returns the environment that it printed. Skips where it cannot run."""
    done = subprocess.run(
        [SCRIPTS / script, "start", directory], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=280,
        env=dict(os.environ, **(environment or {})))
    if done.returncode == LACKING:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return dict(line.replace("'", "").split("=", 1) for line in done.stdout.splitlines())


def stopped(script, directory):
    subprocess.run([SCRIPTS / script, "stop", directory], check=True, timeout=120)


def compare(directory, *arguments):
    return [PROGRAM, "compare", "--quick", "--data-dir", f"{directory}/data", "--output", f"{directory}/report", *arguments]


def result_of(directory):
    return json.loads(pathlib.Path(f"{directory}/report/comparison.json").read_text())


def disk_usage(*paths):
    """Bytes that `du` finds on media, each file once. It fails where a file goes while it looks, as the store's own marks of files being
    written do: then it is asked again."""
    for _ in range(20):
        run = subprocess.run(["du", "-scB1", *map(str, paths)], capture_output=True, text=True)
        if run.returncode == 0:
            return int(run.stdout.splitlines()[-1].split()[0])
    pytest.fail(f"du: {run.stderr.strip()}")


# MARK: GlusterFS


@pytest.fixture(scope="module")
def gluster(tmp_path_factory):
    directory = tmp_path_factory.mktemp("gluster")
    environment = started("glusterfs.sh", directory)
    yield environment
    stopped("glusterfs.sh", directory)
    assert not directory.exists()


@pytest.fixture(scope="module")
def on_gluster(gluster, tmp_path_factory):
    """isr and shared with their volume on three bricks; the data are left where they are.

    `du` is asked at the moment at which the product has counted: a broker that stops in order writes some small files more.
    """
    directory = tmp_path_factory.mktemp("compare-gluster")
    bricks = gluster["NINEFOLD_BACKING"].split(",")
    process = subprocess.Popen(
        compare(
            directory, "--modes", "isr,shared", "--scenarios", "footprint", "--volume", gluster["NINEFOLD_VOLUME"], "--backing",
            gluster["NINEFOLD_BACKING"], "--keep"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, before, named, whole = [], disk_usage(*bricks), {}, {}
    for line in process.stderr:
        said.append(line)
        if mode := re.search(r"(isr|shared): \S+ copies of ", line):
            mode = mode.group(1)
            beside = disk_usage(directory / "data" / mode)
            now = disk_usage(*bricks)
            named[mode] = beside + disk_usage(*[f"{brick}/ninefold-{mode}" for brick in bricks])
            whole[mode] = beside + now - before
        if line.rstrip().endswith("starting 3 brokers"):
            before = disk_usage(*bricks)
    assert process.wait(timeout=60) == 0, "".join(said)
    result = result_of(directory)
    return {
        "result": result, "modes": {mode["mode"]: mode["storage"] for mode in result["modes"]}, "text": process.stdout.read(),
        "bricks": bricks, "named": named, "whole": whole}


def test_three_replicas_on_three_copies_are_nine(on_gluster):
    isr = on_gluster["modes"]["isr"]
    assert isr["copies"] == pytest.approx(9, abs=0.01)
    assert isr["volumeCopies"] == pytest.approx(3, abs=0.01)
    assert on_gluster["modes"]["shared"]["copies"] == pytest.approx(3, abs=0.05)
    volume = on_gluster["result"]["volume"]
    assert (volume["basis"], volume["fileSystem"]) == ("measured", "fuse.glusterfs")
    assert volume["backing"] == on_gluster["bricks"]
    assert on_gluster["text"].strip().startswith("Every byte lies on media 9.00 times in isr")


def test_the_bricks_hold_each_batch_nine_times(on_gluster):
    """Counted once more, from the files' lengths alone."""
    logs = [path for brick in on_gluster["bricks"] for path in pathlib.Path(brick).glob("ninefold-isr/**/*.log")]
    assert sum(path.stat().st_size for path in logs) == pytest.approx(9 * on_gluster["modes"]["isr"]["logicalBytes"], rel=0.001)


def own(storage):
    """What the bricks keep beside the files: .glusterfs."""
    return {medium["medium"]: medium for medium in storage["byMedium"]}["volumeOwn"]


@pytest.mark.parametrize("mode", ["isr", "shared"])
def test_physical_bytes_are_what_disk_usage_finds(on_gluster, mode):
    storage = on_gluster["modes"][mode]
    assert storage["physicalBytes"] == pytest.approx(on_gluster["whole"][mode], rel=0.01)
    # Without the bricks' own files, by the files' own names.
    assert storage["physicalBytes"] - own(storage)["physicalBytes"] == pytest.approx(on_gluster["named"][mode], rel=0.01)


def test_the_bricks_own_files_are_told_apart_and_a_file_of_two_names_is_counted_once(on_gluster):
    for storage in on_gluster["modes"].values():
        assert own(storage)["physicalBytes"] > 0 and own(storage)["recordBytes"] == 0
    # Each file of a brick has a second name below .glusterfs.
    some = next(pathlib.Path(on_gluster["bricks"][0]).glob("ninefold-isr/**/*.log"))
    assert some.stat().st_nlink == 2
    assert "the mount's own" in on_gluster["text"]


def test_without_backing_directories_the_mounts_copies_are_not_measured(gluster, tmp_path):
    subprocess.run(
        compare(tmp_path, "--modes", "shared", "--scenarios", "footprint", "--volume", gluster["NINEFOLD_VOLUME"]), check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=280)
    result = result_of(tmp_path)
    mode = result["modes"][0]
    assert result["volume"]["basis"] == "not measured"
    assert mode["network"]["volumeCopies"] is None
    assert "not seen" in mode["notMeasured"]["network.volumeCopies"]
    assert "--backing" in mode["notMeasured"]["storage.volumeCopies"]
    assert mode["storage"]["volumeCopies"] is None


# MARK: Ceph


@pytest.fixture(scope="module")
def ceph(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ceph")
    # Ports of its own: the gateway's are the first three, the OSDs' the hundred that follow.
    environment = started("ceph-radosgw.sh", directory, {"NINEFOLD_CEPH_PORT": str(free_port_block(100))})
    yield dict(environment, directory=str(directory))
    stopped("ceph-radosgw.sh", directory)
    assert not directory.exists()


def keys(ceph, **changes):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {name: value for name, value in ceph.items() if name.startswith("AWS_")} | changes


def test_a_gateway_that_has_served_nothing_yet_serves_a_comparison(ceph, tmp_path):
    """The first put makes the gateway's pools, which takes seconds."""
    done = subprocess.run(
        compare(tmp_path, "--modes", "shared", "--scenarios", "footprint", "--object-store", ceph["NINEFOLD_OBJECT_STORE"]),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=280, env=keys(ceph))
    assert done.returncode == 0, done.stderr
    storage = result_of(tmp_path)["modes"][0]["storage"]
    assert storage["copies"] == pytest.approx(3, abs=0.1)
    assert {medium["medium"]: medium["basis"] for medium in storage["byMedium"]}["object"] == "declared"


def test_a_wrong_key_is_refused_with_one_clear_line(ceph, tmp_path):
    for changes in ({"AWS_SECRET_ACCESS_KEY": "not-the-secret"}, {"AWS_ACCESS_KEY_ID": "nobody"}):
        done = subprocess.run(
            compare(tmp_path, "--modes", "tiered", "--object-store", ceph["NINEFOLD_OBJECT_STORE"]), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=60, env=keys(ceph, **changes))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert "403" in done.stderr and "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in done.stderr
        assert "not-the-secret" not in done.stderr


def test_the_object_stores_suite_passes_and_one_of_sixteen_writers_is_first(ceph):
    """The suite that every store of ours passes, through our client."""
    tests = next(pathlib.Path(PROGRAM).parent.glob("*PackageTests.xctest"), None)
    if tests is None:
        pytest.skip("the Swift tests are not built beside the program")
    done = subprocess.run(
        [tests, "--testing-library", "swift-testing", "--filter", "ObjectStoreConformanceTests"], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=280, env=keys(ceph, NINEFOLD_TEST_OBJECT_STORE=ceph["NINEFOLD_OBJECT_STORE"]))
    assert done.returncode == 0, done.stdout[-6000:]
    for name in ("exactlyOneOfSixteenWritersIsFirst", "passesTheProbe"):
        cases = re.search(name + r"\(_:\) with (\d) test cases passed", done.stdout)
        # Two directories, moto, and the gateway.
        assert cases and int(cases.group(1)) == 4, done.stdout[-3000:]


def test_the_cluster_keeps_the_three_copies_that_its_url_declares(ceph):
    """Asked from Ceph itself, which learns of it some seconds later."""
    def data():
        text = subprocess.run(
            ["ceph", "df", "-f", "json"], env=dict(os.environ, CEPH_CONF=ceph["CEPH_CONF"]), stdout=subprocess.PIPE, check=True, timeout=60).stdout
        stats = {pool["name"]: pool["stats"] for pool in json.loads(text)["pools"]}["default.rgw.buckets.data"]
        return stats if stats["stored"] > 0 else None

    body = os.urandom(8 << 20)
    client(ceph).put_object(Bucket="ninefold", Key="three-copies", Body=body)
    stats = eventually(lambda: (found := data()) and found["stored"] >= len(body) and found)
    assert stats, "Ceph tells of no bytes"
    # Objects are rounded up to whole blocks, each copy.
    assert 3 <= stats["bytes_used"] / stats["stored"] < 3.3


def client(ceph):
    import boto3

    endpoint = re.search(r"endpoint=([^&]*)", ceph["NINEFOLD_OBJECT_STORE"]).group(1)
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=ceph["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ceph["AWS_SECRET_ACCESS_KEY"])


def test_an_osd_that_dies_during_a_run_loses_nothing(ceph, tmp_path):
    process = subprocess.Popen(
        compare(
            tmp_path, "--modes", "tiered,shared", "--scenarios", "steady,footprint,failover", "--object-store",
            ceph["NINEFOLD_OBJECT_STORE"]),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=keys(ceph))
    said, killed = [], False
    for line in process.stderr:
        said.append(line)
        if "steady load" in line and not killed:
            subprocess.run([SCRIPTS / "ceph-radosgw.sh", "kill-osd", ceph["directory"], "1"], check=True, timeout=30)
            killed = True
    assert process.wait(timeout=60) == 0, "".join(said)
    assert killed
    for mode in result_of(tmp_path)["modes"]:
        failover = mode["failover"]
        assert failover["acknowledged"] > 0
        assert (failover["lost"], failover["duplicated"], failover["reordered"]) == (0, 0, 0)
        assert mode["steady"]["records"] > 0 and mode["steady"]["errors"] == 0
        assert mode["requests"]["put"] > 0
    assert osds_up(ceph) == 2
    subprocess.run([SCRIPTS / "ceph-radosgw.sh", "start-osd", ceph["directory"], "1"], check=True, timeout=60)


LINES = 120_000


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
@pytest.mark.parametrize("mode", ["tiered", "shared"])
def test_what_was_acknowledged_while_an_osd_died_is_read_back_from_the_gateway(ceph, mode, monkeypatch, tmp_path):
    for name, value in keys(ceph).items():
        monkeypatch.setenv(name, value)
    script = SCRIPTS / "ceph-radosgw.sh"
    cluster = Cluster(mode, overrides=[
        f"object.store.url={ceph['NINEFOLD_OBJECT_STORE'].replace('/ninefold?', f'/{mode}?')}", "log.segment.bytes=1048576",
        "log.local.retention.bytes=1048576", "remote.log.manager.task.interval.ms=500", "wal.capacity.bytes=16777216",
        "wal.upload.threshold.bytes=1048576"])
    cluster.port = free_port_block(cluster.brokers)
    lines = [f"{number} {hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(LINES)]
    try:
        cluster.start()
        assert eventually(lambda: osds_up(ceph) == 3), "not all OSDs are up"
        producer = subprocess.Popen(
            ["kcat", "-b", cluster.bootstrap, "-P", "-t", "kept", "-p", "0", "-X", "enable.idempotence=true", "-X", "batch.num.messages=500"],
            stdin=subprocess.PIPE, text=True)
        for part in range(4):
            if part == 2:
                subprocess.run([script, "kill-osd", ceph["directory"], "1"], check=True, timeout=30)
            producer.stdin.write("\n".join(lines[part * LINES // 4:(part + 1) * LINES // 4]) + "\n")
            producer.stdin.flush()
        producer.stdin.close()
        assert producer.wait(timeout=120) == 0
        # What brokers hold in memory goes; what is read comes from the volume and from the gateway.
        cluster.restart()
        assert client(ceph).list_objects_v2(Bucket="ninefold", Prefix=f"{mode}/").get("Contents"), "nothing was put to the gateway"
        consumed = subprocess.run(
            ["kcat", "-b", cluster.bootstrap, "-C", "-t", "kept", "-p", "0", "-o", "beginning", "-e", "-q"], stdout=subprocess.PIPE, check=True,
            timeout=120, text=True).stdout
        assert consumed.splitlines() == lines
    finally:
        cluster.remove()
        if osds_up(ceph) < 3:
            subprocess.run([script, "start-osd", ceph["directory"], "1"], check=True, timeout=60)


def osds_up(ceph):
    text = subprocess.run(
        ["ceph", "osd", "stat", "-f", "json"], env=dict(os.environ, CEPH_CONF=ceph["CEPH_CONF"]), stdout=subprocess.PIPE, check=True, timeout=60).stdout
    return json.loads(text)["num_up_osds"]
