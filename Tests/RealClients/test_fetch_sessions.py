"""Consumers whose fetches go on in a session (KIP-227): kafka-python asks for one, librdkafka does not."""
import random

import pytest
from confluent_kafka import Consumer as RdConsumer
from confluent_kafka import TopicPartition as RdPartition
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

PARTITIONS = 120


@pytest.fixture()
def topic(cluster):
    name = f"sessions-{random.randrange(1 << 30)}"
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    admin.create_topics([NewTopic(name, PARTITIONS, -1)], timeout_ms=60_000)
    admin.close()
    return name


def test_rounds_over_mostly_idle_partitions_bring_every_record_once(cluster, topic):
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign(partitions)
    rd = RdConsumer({"bootstrap.servers": cluster.bootstrap, "group.id": "none", "enable.auto.commit": False})
    rd.assign([RdPartition(topic, number, 0) for number in range(PARTITIONS)])
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
    chance = random.Random(7)
    sent, got, rd_got = [], [], []
    for round in range(12):
        for number in chance.sample(range(PARTITIONS), 1 if round % 2 else 9):
            value = f"{round}-{number}"
            sent.append(value)
            producer.send(topic, value.encode(), partition=number)
        producer.flush()
        if round == 5:
            # Forgotten by the session, and later added again.
            consumer.pause(*partitions[:40])
        if round == 8:
            consumer.resume(*partitions[:40])
        for records in consumer.poll(timeout_ms=700).values():
            got += [record.value.decode() for record in records]
    for _ in range(40):
        if len(got) < len(sent):
            for records in consumer.poll(timeout_ms=500).values():
                got += [record.value.decode() for record in records]
    while len(rd_got) < len(sent):
        message = rd.poll(20)
        assert message is not None, f"{len(rd_got)} of {len(sent)} records"
        rd_got.append(message.value().decode())
    sessions = [handler.next_metadata.session_id for handler in consumer._fetcher._session_handlers.values()]
    producer.close()
    consumer.close()
    rd.close()
    assert sorted(got) == sorted(sent)
    assert sorted(rd_got) == sorted(sent)
    assert sessions and all(id > 0 for id in sessions), sessions
