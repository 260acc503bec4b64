"""confluent-kafka (librdkafka 2.16): idempotent producing, codecs, groups that rebalance and resume."""
import threading

import pytest
from conftest import eventually
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def create(cluster, topic, partitions=3, config=None):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for future in admin.create_topics([NewTopic(topic, partitions, 3, config=config or {})]).values():
        future.result(60)


def produce(cluster, topic, values, **settings):
    failures = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "message.timeout.ms": 60_000, **settings})
    for number, value in enumerate(values):
        while True:
            try:
                producer.produce(topic, value, key=str(number), on_delivery=lambda error, _: error and failures.append(error))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert failures == []


def consume(cluster, topic, group, count, timeout=60):
    consumer = Consumer({
        "bootstrap.servers": cluster.bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    values = []

    def more():
        for message in consumer.consume(1_000, 1.0):
            assert message.error() is None, message.error()
            values.append(message.value())
        return len(values) >= count

    eventually(more, timeout, 0)
    consumer.commit(asynchronous=False)
    consumer.close()
    return values


def test_idempotent_producer_writes_each_record_once(cluster):
    create(cluster, "idempotent")
    values = [f"value {number}".encode() for number in range(20_000)]
    produce(cluster, "idempotent", values, **{"enable.idempotence": True})
    assert sorted(consume(cluster, "idempotent", "once", len(values))) == sorted(values)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_pass_untouched(cluster, codec):
    topic = f"codec-{codec}"
    create(cluster, topic)
    values = [(f"{codec} {number} " * 20).encode() for number in range(2_000)]
    produce(cluster, topic, values, **{"compression.type": codec, "linger.ms": 50})
    assert sorted(consume(cluster, topic, f"read-{codec}", len(values))) == sorted(values)


def test_two_members_share_the_partitions_and_resume_after_a_restart(cluster):
    topic, group = "shared-work", "workers"
    create(cluster, topic, partitions=4)
    first = [f"first {number}".encode() for number in range(2_000)]
    produce(cluster, topic, first)

    settings = {
        "bootstrap.servers": cluster.bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 10_000}
    members = [Consumer(settings), Consumer(settings)]
    seen, assigned, lock, stop = [], [0, 0], threading.Lock(), threading.Event()

    # All calls of a member are its own thread's.
    def work(number):
        member = members[number]
        member.subscribe([topic])
        while not stop.is_set():
            messages = member.consume(200, 0.2)
            with lock:
                seen.extend(message.value() for message in messages if message.error() is None)
                assigned[number] = len(member.assignment())

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert eventually(lambda: len(set(seen)) >= len(first)), f"{len(set(seen))} of {len(first)}"
        assert eventually(lambda: assigned == [2, 2]), assigned
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for member in members:
        member.commit(asynchronous=False)
    # One leaves: the other gets everything.
    members[0].close()

    def has_all():
        members[1].consume(1, 0.2)
        return len(members[1].assignment()) == 4

    assert eventually(has_all)
    members[1].close()

    cluster.restart()

    second = [f"second {number}".encode() for number in range(500)]
    produce(cluster, topic, second)
    # The group goes on where it had committed: nothing of the first lot comes again.
    assert sorted(consume(cluster, topic, group, len(second))) == sorted(second)
    reader = Consumer({**settings, "group.id": group})
    committed = reader.committed([TopicPartition(topic, partition) for partition in range(4)], timeout=30)
    assert sum(max(entry.offset, 0) for entry in committed) == len(first) + len(second)
    reader.close()
