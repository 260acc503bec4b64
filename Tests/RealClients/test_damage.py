"""A broker that dies and comes back to damaged files: it mends them from the other replicas or copies, and nothing acknowledged is lost."""
import pathlib

import pytest
from brokers import Brokers, Load, admin
from conftest import eventually


def truncate(path):
    with open(path, "r+b") as file:
        # Of a ring, with its live part at the beginning, almost all.
        file.truncate(min(path.stat().st_size // 2, 50_000))


def corrupt(path):
    with open(path, "r+b") as file:
        for place in range(min(path.stat().st_size // 3, 50_000), min(path.stat().st_size, 1 << 20), 3_000):
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 0x55]))


def delete(path):
    path.unlink()


DAMAGES = {"truncated": truncate, "corrupted": corrupt, "deleted": delete}


def in_sync(brokers, topic, broker):
    """Whether the broker is in sync in all partitions of the topic."""
    topics = admin(brokers.bootstrap).list_topics(topic, timeout=10).topics
    return all(broker in partition.isrs for partition in topics[topic].partitions.values())


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("mode", ["isr", "tiered"])
def test_a_replica_with_a_damaged_log_is_mended_by_the_others(mode, damage):
    brokers = Brokers(mode).start().wait()
    load = None
    try:
        # One in sync is enough, so that the mended one alone can be read in the end.
        brokers.create("kept", min_insync_replicas=1)
        load = Load(brokers.bootstrap, "kept").start()
        assert load.goes_on(3_000)
        brokers.kill(1)
        # The last segment of each partition: what no sync has covered yet.
        logs = [sorted(directory.glob("*.log"))[-1] for directory in pathlib.Path(brokers.data(1)).glob("**/kept-*") if directory.is_dir()]
        assert len(logs) == 6
        for log in logs:
            DAMAGES[damage](log)
        assert load.goes_on()
        brokers.start(1).wait(1)
        assert load.goes_on()
        assert eventually(lambda: in_sync(brokers, "kept", 1)), brokers.log(1)[-2000:]
        load.stop()
        if damage == "corrupted":
            assert "log cut at its first damaged batch" in brokers.log(1)
        # All of it from the mended replica alone.
        brokers.kill(2, 3)
        assert load.verify() > 3_000
    finally:
        if load:
            load.ending.set()
        brokers.remove()


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_write_ahead_log_is_replayed_from_the_copy_that_is_whole(damage, copy):
    """What was acknowledged and not uploaded lies in the dead broker's write-ahead log alone, here in two copies."""
    brokers = Brokers(
        "shared", wal_path="replicated:2:{directory}/wal-{broker}", wal_capacity_bytes=16 << 20, wal_upload_threshold_bytes=4 << 20,
        wal_upload_interval_ms=60_000)
    load = None
    try:
        brokers.start().wait()
        brokers.create("kept")
        load = Load(brokers.bootstrap, "kept", rate=500).start()
        assert load.goes_on(1_500)
        brokers.kill(1)
        files = [path for path in brokers.directory.glob(f"wal-1/copy-{copy}/**/*") if path.is_file() and path.stat().st_size >= 1 << 20]
        assert files, sorted(brokers.directory.glob("wal-1/**/*"))
        for file in files:
            DAMAGES[damage](file)
        assert load.goes_on(), "\n".join(brokers.log(broker)[-2000:] for broker in (2, 3))
        brokers.start(1).wait(1)
        assert load.goes_on()
        load.stop()
        assert load.verify() > 1_500
    finally:
        if load:
            load.ending.set()
        brokers.remove()
