"""Data directories of Apache Kafka, imported, and read by a real client as Kafka's own brokers gave them out (Tests/Fixtures/kafka-data)."""
import hashlib
import json
import pathlib
import struct
import subprocess
import tarfile

import pytest
from brokers import Brokers
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition, OFFSET_BEGINNING
from conftest import PROGRAM, ROOT

FIXTURES = ROOT / "Tests/Fixtures/kafka-data"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())


def framed(content):
    return struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content


def read(bootstrap, partitions, isolation):
    """Of each partition the number of records, their first and last offset, and the hash of them all."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "import", "enable.partition.eof": True, "isolation.level": isolation,
        "enable.auto.commit": False, "log_level": 0,
    })
    places = {tuple(name.rsplit("-", 1)): name for name in partitions}
    consumer.assign([TopicPartition(topic, int(number), OFFSET_BEGINNING) for topic, number in places])
    content, offsets = {name: hashlib.sha256() for name in partitions}, {name: [] for name in partitions}
    left = set(partitions)
    try:
        while left:
            message = consumer.poll(60)
            assert message is not None, f"{left}: no answer for a minute"
            name = places[message.topic(), str(message.partition())]
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                left.discard(name)
                continue
            offsets[name].append(message.offset())
            headers = message.headers() or []
            content[name].update(
                struct.pack(">qq", message.offset(), message.timestamp()[1]) + framed(message.key()) + framed(message.value())
                + struct.pack(">i", len(headers)) + b"".join(framed(name.encode()) + framed(value) for name, value in headers))
    finally:
        consumer.close()
    return {
        name: {"records": len(found), "firstOffset": found[0], "lastOffset": found[-1], "sha256": content[name].hexdigest()}
        for name, found in offsets.items()
    }


def check_times(bootstrap, partition):
    """Each time leads to the first record that is not older, in batches of whatever codec."""
    topic, number = partition.rsplit("-", 1)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "import", "enable.partition.eof": True, "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, int(number), OFFSET_BEGINNING)])
        records = []
        while True:
            message = consumer.poll(60)
            assert message is not None
            if message.error():
                break
            records.append((message.offset(), message.timestamp()[1]))
        for time in sorted({time for _, time in records})[::3]:
            expected = next(offset for offset, other in records if other >= time)
            assert consumer.offsets_for_times([TopicPartition(topic, int(number), time)], timeout=60)[0].offset == expected, (partition, time)
    finally:
        consumer.close()


def ninefold_import(brokers, directories, *options):
    command = [PROGRAM, "import", *directories, "--config", brokers.file(1), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    directories = []
    for name in ("clean", "unclean"):
        directory = tmp_path_factory.mktemp(name)
        with tarfile.open(FIXTURES / f"{name}.tar.gz") as archive:
            archive.extractall(directory, filter="data")
        directories.append(directory)
    return directories


def listing(directories):
    return {path: path.read_bytes() for directory in directories for path in pathlib.Path(directory).rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["isr", "tiered"])
def test_what_kafka_wrote_is_read_as_kafka_gave_it_out(mode, kafka):
    brokers = Brokers(mode, count=1, local_retention_bytes=1, log_retention_check_interval_ms=500)
    before = listing(kafka)
    try:
        dry = ninefold_import(brokers, kafka, "--dry-run")
        assert dry.returncode == 0 and "would import: 10 topics, 14 partitions" in dry.stdout, dry.stdout + dry.stderr
        assert not pathlib.Path(brokers.data(1)).exists() and not (brokers.directory / "metadata.db").exists()

        done = ninefold_import(brokers, kafka, "--format", "json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        found = {f"{topic['name']}-{partition['number']}": (topic, partition) for topic in report["topics"] for partition in topic["partitions"]}
        assert sorted(found) == sorted(EXPECTED)
        for name, expected in EXPECTED.items():
            topic, partition = found[name]
            assert topic["id"] == expected["topicId"]
            assert (partition["logStart"], partition["logEnd"]) == (expected["logStartOffset"], expected["logEndOffset"]), name
            assert (partition.get("damage") is not None) == (name == "torn-crc-0")
            assert partition.get("openTransaction") == (27 if name == "open-transaction-0" else None)
        # Kafka's directories are only read.
        assert listing(kafka) == before

        brokers.start().wait()
        running = ninefold_import(brokers, kafka)
        assert running.returncode == 1 and "broker 1 is running" in running.stderr

        def check():
            for isolation, key in [("read_uncommitted", "readUncommitted"), ("read_committed", "readCommitted")]:
                assert read(brokers.bootstrap, EXPECTED, isolation) == {name: expected[key] for name, expected in EXPECTED.items()}

        check()
        for name in EXPECTED:
            if name.startswith(("codecs-", "log-append-time-")):
                check_times(brokers.bootstrap, name)
        # Before any checkpoint of its own.
        brokers.kill()
        brokers.start().wait()
        check()
        # And it goes on behind what Kafka wrote.
        producer = Producer({"bootstrap.servers": brokers.bootstrap, "acks": "all", "log_level": 0})
        offsets = []
        producer.produce("epochs", b"more", partition=0, on_delivery=lambda error, message: offsets.append((error, message.offset())))
        producer.flush(60)
        assert offsets == [(None, EXPECTED["epochs-0"]["logEndOffset"])]
        assert "log cut at its first damaged batch" not in brokers.log(1)

        brokers.kill()
        again = ninefold_import(brokers, kafka)
        # Broker 1's lease may not have ended yet: then it is told to be running.
        assert again.returncode == 1 or "the cluster has a topic of that name" in again.stdout
    finally:
        brokers.remove()


def test_what_cannot_be_imported_says_why_in_one_line(kafka, tmp_path):
    brokers = Brokers("isr", count=1)
    shared = Brokers("shared", count=1)
    try:
        for arguments, says in [
            ((brokers, [tmp_path / "nowhere"]), "no such directory"),
            ((brokers, [tmp_path]), "no partition lies there"),
            ((brokers, kafka, "--topics", "codecs,nix"), "topic nix is not in"),
            ((brokers, kafka, "--topic-config", "retention.ms=soon"), "retention.ms=soon"),
            ((shared, kafka), "keeps no files of Kafka's format"),
        ]:
            result = ninefold_import(*arguments)
            assert result.returncode == 1 and says in result.stderr and result.stderr.count("\n") == 1, (arguments, result.stderr)
        # Half of a topic is none.
        (tmp_path / "t-1").mkdir()
        part = ninefold_import(brokers, [tmp_path])
        assert part.returncode == 0 and "not imported: t: partitions 0 are in none of the directories" in part.stdout, part.stdout + part.stderr
    finally:
        brokers.remove()
        shared.remove()
