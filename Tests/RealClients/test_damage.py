"""A broker that dies and comes back to damaged files: it mends them from the other replicas or copies, and nothing acknowledged is lost."""
import pathlib

import pytest
from brokers import Brokers, Load, admin
from confluent_kafka import KafkaException
from conftest import MODES, eventually


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


# Beside the records; the last is told of by its own test.
OTHERS = ["*.index", "*.timeindex", "*.snapshot", "leader-epoch-checkpoint", "*-checkpoint", "partition.metadata"]


def corrupt_anywhere(path):
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 7):
        content[place] ^= 0x55
    path.write_bytes(content)


def halve(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


SMALL_DAMAGES = {"truncated": halve, "corrupted": corrupt_anywhere, "deleted": delete}


@pytest.mark.parametrize("damage", SMALL_DAMAGES)
@pytest.mark.parametrize("mode", ["isr", "tiered"])
def test_a_replica_with_damaged_files_beside_its_records_is_whole_again(mode, damage):
    """Indexes, producers, epochs and checkpoints, all of them at once."""
    brokers = Brokers(mode).start().wait()
    load = None
    try:
        brokers.create("kept", min_insync_replicas=1, segment_bytes=1 << 18)
        load = Load(brokers.bootstrap, "kept").start()
        assert load.goes_on(3_000)
        brokers.kill(1)
        files = {path for pattern in OTHERS for path in pathlib.Path(brokers.data(1)).glob(f"**/{pattern}") if path.is_file()}
        assert {path.suffix or path.name for path in files} >= {".index", ".timeindex", ".snapshot", "leader-epoch-checkpoint"}, files
        for file in files:
            SMALL_DAMAGES[damage](file)
        assert load.goes_on()
        brokers.start(1).wait(1)
        assert load.goes_on()
        assert eventually(lambda: in_sync(brokers, "kept", 1)), brokers.log(1)[-2000:]
        load.stop()
        brokers.kill(2, 3)
        assert load.verify() > 3_000
    finally:
        if load:
            load.ending.set()
        brokers.remove()


@pytest.mark.parametrize("damage", SMALL_DAMAGES)
@pytest.mark.parametrize("mode", MODES)
def test_a_damaged_identity_of_a_directory_is_named_or_mended(mode, damage):
    """A broker that does not know whose directory it has been given says so and ends, or makes it anew; nothing is lost either way."""
    brokers = Brokers(mode).start().wait()
    load = None
    try:
        brokers.create("kept", min_insync_replicas=1)
        load = Load(brokers.bootstrap, "kept").start()
        assert load.goes_on(1_000)
        brokers.kill(1)
        files = list(pathlib.Path(brokers.data(1)).glob("**/meta.properties"))
        kept = {file: file.read_bytes() for file in files}
        assert files or mode == "shared"
        for file in files:
            SMALL_DAMAGES[damage](file)
        assert load.goes_on()
        brokers.start(1)
        ends_or_serves = eventually(lambda: brokers.processes[1].poll() is not None or serves(brokers, 1))
        assert ends_or_serves
        if brokers.processes[1].poll() is not None:
            assert "meta.properties" in brokers.log(1), brokers.log(1)[-2000:]
            # What a backup brings back is taken.
            for file, content in kept.items():
                file.write_bytes(content)
            brokers.start(1)
        brokers.wait(1)
        assert load.goes_on()
        load.stop()
        assert load.verify() > 1_000
    finally:
        if load:
            load.ending.set()
        brokers.remove()


def serves(brokers, broker):
    try:
        return broker in admin(f"127.0.0.1:{brokers.ports[broker]}").list_topics(timeout=2).brokers
    except KafkaException:
        return False


def corrupt_header(path):
    """The two copies of the header before the ring."""
    with open(path, "r+b") as file:
        file.write(bytes(8_192))


WAL_DAMAGES = dict(DAMAGES, header=corrupt_header)


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("damage", WAL_DAMAGES)
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
            WAL_DAMAGES[damage](file)
        assert load.goes_on(), "\n".join(brokers.log(broker)[-2000:] for broker in (2, 3))
        brokers.start(1).wait(1)
        assert load.goes_on()
        load.stop()
        assert load.verify() > 1_500
    finally:
        if load:
            load.ending.set()
        brokers.remove()
