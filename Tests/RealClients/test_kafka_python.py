"""kafka-python: the admin calls."""
import pytest
from conftest import eventually
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError


@pytest.fixture()
def admin(cluster):
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    yield admin
    admin.close()


def test_topic_is_created_described_and_deleted(cluster, admin):
    admin.create_topics([NewTopic("life", 3, 3)])
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic("life", 3, 3)])
    described = eventually(lambda: [t for t in admin.describe_topics(["life"]) if len(t["partitions"]) == 3])
    replicas = 1 if cluster.mode == "shared" else 3
    assert all(len(partition["replica_nodes"]) == replicas for partition in described[0]["partitions"])
    admin.delete_topics(["life"])
    assert eventually(lambda: "life" not in admin.list_topics())
    # The name can be used again, and nothing of the former topic comes back.
    admin.create_topics([NewTopic("life", 1, 3)])
    admin.delete_topics(["life"])


def test_configs_are_described_and_changed(cluster, admin):
    admin.create_topics([NewTopic("configured", 1, 3, topic_configs={"retention.ms": "3600000"})])
    resource = ConfigResource(ConfigResourceType.TOPIC, "configured")

    # Any broker may answer, and each follows the cluster's metadata in its own time.
    def described(*wanted):
        text = str(admin.describe_configs([resource], config_filter="all"))
        return all(word in text for word in wanted)

    assert eventually(lambda: described("'retention.ms': {'value': '3600000'", "storage.mode", "min.insync.replicas"))
    changed = ConfigResource(ConfigResourceType.TOPIC, "configured", configs={"retention.ms": "7200000"})

    # A broker that has not heard of the topic yet refuses, which this client tells in one case and not in another: ask again.
    def change():
        try:
            admin.alter_configs([changed])
        except ValueError:
            return False
        return described("'retention.ms': {'value': '7200000'")

    assert eventually(change)


def test_records_and_offsets_come_back(cluster):
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
    futures = [producer.send("python", f"record {number}".encode(), partition=0) for number in range(1_000)]
    offsets = [future.get(timeout=60).offset for future in futures]
    assert offsets == list(range(offsets[0], offsets[0] + 1_000))
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap, consumer_timeout_ms=20_000)
    partition = TopicPartition("python", 0)
    consumer.assign([partition])
    assert consumer.end_offsets([partition])[partition] == offsets[-1] + 1
    consumer.seek(partition, offsets[0])
    values = [next(consumer).value for _ in range(1_000)]
    assert values == [f"record {number}".encode() for number in range(1_000)]
    consumer.close()


def test_partition_is_reassigned(cluster, admin):
    replicas = 1 if cluster.mode == "shared" else 2
    admin.create_topics([NewTopic("moving", num_partitions=-1, replication_factor=-1, replica_assignments={0: [1, 2][:replicas]})])
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
    for number in range(500):
        producer.send("moving", f"before {number}".encode(), partition=0)
    producer.flush()
    target = [3, 2][:replicas]
    admin.alter_partition_reassignments({TopicPartition("moving", 0): target})

    def moved():
        partition = admin.describe_topics(["moving"])[0]["partitions"][0]
        return sorted(partition["replica_nodes"]) == sorted(target) and partition["leader_id"] == 3

    assert eventually(moved, 60)
    for number in range(500):
        producer.send("moving", f"after {number}".encode(), partition=0)
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap, consumer_timeout_ms=20_000)
    partition = TopicPartition("moving", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    values = [next(consumer).value for _ in range(1_000)]
    assert values == [f"before {n}".encode() for n in range(500)] + [f"after {n}".encode() for n in range(500)]
    consumer.close()


def test_unknown_topic_is_kafkas_error(cluster, admin):
    with pytest.raises(UnknownTopicOrPartitionError):
        admin.delete_topics(["never-made"])
