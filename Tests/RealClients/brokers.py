"""Three broker processes that can be killed one by one, and a load that knows what was acknowledged to it."""
import collections
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import PROGRAM, eventually, free_port_block


def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


class Brokers:
    """`ninefold serve`, once for each broker, over one metadata store and one object store."""

    def __init__(self, mode, count=3, directory=None, environment=None, metrics=False, **properties):
        self.mode = mode
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix=f"ninefold-{mode}-"))
        self.environment = environment
        first = free_port_block(2 * count)
        self.ids = range(1, count + 1)
        self.ports = {broker: first + broker - 1 for broker in self.ids}
        self.metrics = {broker: first + count + broker - 1 for broker in self.ids} if metrics else {}
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        self.processes = {}
        for broker in self.ids:
            settings = {
                "node.id": broker,
                "listeners": f"PLAINTEXT://127.0.0.1:{self.ports[broker]}",
                "log.dirs": self.data(broker),
                "metadata.store.url": f"sqlite://{self.directory}/metadata.db",
                "object.store.url": f"file://{self.directory}/objects",
                "storage.mode": mode,
                # Long enough for a machine that stands still for a second, as virtual ones do.
                "broker.session.timeout.ms": 2_000,
                "default.replication.factor": min(3, count),
                "min.insync.replicas": min(2, count),
                "offsets.topic.replication.factor": min(3, count),
                "replica.lag.time.max.ms": 3_000,
                "log.segment.bytes": 1 << 20,
                "remote.log.manager.task.interval.ms": 500,
                "wal.upload.interval.ms": 1_000,
                "object.delete.retention.ms": 1_000,
            }
            if metrics:
                settings["metrics.listener"] = f"http://127.0.0.1:{self.metrics[broker]}"
            settings.update({key.replace("_", "."): value for key, value in properties.items()})
            text = "".join(f"{key}={str(value).replace('{broker}', str(broker)).replace('{directory}', str(self.directory))}\n" for key, value in settings.items())
            self.file(broker).write_text(text)

    def data(self, broker):
        return f"{self.directory}/broker-{broker}"

    def file(self, broker):
        return self.directory / f"broker-{broker}.properties"

    def requests(self, kind):
        """Requests of a kind that all brokers have sent to the object store since they were started."""
        count = 0
        for port in self.metrics.values():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith("ninefold_object_requests_total") and f'"{kind}"' in line:
                        count += int(float(line.split()[-1]))
        return count

    def log(self, broker):
        path = self.directory / f"broker-{broker}.log"
        return path.read_text() if path.exists() else ""

    def start(self, *brokers):
        for broker in brokers or self.ids:
            with open(self.directory / f"broker-{broker}.log", "ab") as log:
                self.processes[broker] = subprocess.Popen(
                    [PROGRAM, "serve", "--config", self.file(broker)], stdout=log, stderr=log, env=self.environment)
        return self

    def wait(self, *brokers, timeout=60):
        """Until each of them serves."""
        for broker in brokers or self.ids:
            def serves():
                assert self.processes[broker].poll() is None, f"broker {broker} ended: {self.log(broker)[-2000:]}"
                try:
                    return broker in admin(f"127.0.0.1:{self.ports[broker]}").list_topics(timeout=2).brokers
                except KafkaException:
                    return False

            assert eventually(serves, timeout), f"broker {broker} does not serve: {self.log(broker)[-2000:]}"
        return self

    def kill(self, *brokers, how=signal.SIGKILL):
        for broker in brokers or self.ids:
            self.processes[broker].send_signal(how)
        for broker in brokers or self.ids:
            self.processes[broker].wait(timeout=60)

    def remove(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def create(self, topic, partitions=6, **config):
        new = NewTopic(topic, partitions, min(3, len(self.ids)), config={key.replace("_", "."): str(v) for key, v in config.items()})
        # Kept until it is done: a client that is let go of gives up what it waits for.
        client = admin(self.bootstrap)
        client.create_topics([new])[topic].result(60)


class Load:
    """An idempotent producer with acks=all that goes on through everything, and remembers each acknowledgement."""

    def __init__(self, bootstrap, topic, partitions=6, size=1_000, rate=1_000):
        self.topic, self.partitions = topic, partitions
        self.bootstrap, self.rate = bootstrap, rate
        self.filler = b"." * size
        self.sent = collections.Counter()
        self.acknowledged = {partition: {} for partition in range(partitions)}
        self.failures = []
        self.last = time.monotonic()
        self.longest = 0.0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.last = time.monotonic()
        self.thread.start()
        return self

    def run(self):
        producer = Producer({
            "bootstrap.servers": self.bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5, "delivery.timeout.ms": 120_000,
            "message.timeout.ms": 120_000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 500,
            "queue.buffering.max.messages": 5_000, "batch.size": 200_000, "log_level": 0})
        begun = time.monotonic()
        total = 0
        while not self.ending.is_set():
            due = int((time.monotonic() - begun) * self.rate)
            while total < due and not self.ending.is_set():
                partition = total % self.partitions
                try:
                    producer.produce(
                        self.topic, b"%d %b" % (self.sent[partition], self.filler), partition=partition, on_delivery=self.delivered,
                        key=b"%d" % self.sent[partition])
                except BufferError:
                    break
                self.sent[partition] += 1
                total += 1
            producer.poll(0.01)
        assert producer.flush(130) == 0

    def delivered(self, error, message):
        if error is not None:
            self.failures.append(str(error))
            return
        now = time.monotonic()
        self.longest = max(self.longest, now - self.last)
        self.last = now
        self.acknowledged[message.partition()][message.offset()] = int(message.key())

    @property
    def count(self):
        return sum(len(offsets) for offsets in self.acknowledged.values())

    def goes_on(self, records=200, timeout=60):
        """Whether so many more are acknowledged within the time."""
        wanted = self.count + records
        return eventually(lambda: self.count >= wanted, timeout)

    def stop(self):
        self.ending.set()
        self.thread.join(timeout=150)
        assert not self.thread.is_alive()
        return self

    def read(self, timeout=120):
        """All of the topic, from each log's start: {partition: {offset: number}}."""
        ends = {partition: self.end(partition) for partition in range(self.partitions)}
        consumer = self.consumer()
        consumer.assign([TopicPartition(self.topic, partition, 0) for partition in range(self.partitions)])
        found = {partition: {} for partition in range(self.partitions)}
        left = {partition for partition, end in ends.items() if end > 0}
        deadline = time.monotonic() + timeout
        while left and time.monotonic() < deadline:
            for message in consumer.consume(5_000, 0.5):
                if message.error():
                    # The consumer itself goes on after what passes.
                    assert message.error().retriable() or message.error().code() < 0, message.error()
                    continue
                found[message.partition()][message.offset()] = int(message.key())
                if message.offset() + 1 >= ends[message.partition()]:
                    left.discard(message.partition())
        consumer.close()
        assert not left, f"not read to their ends in {timeout} s: {left}"
        return found

    def consumer(self):
        return Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": "verifier", "enable.auto.commit": False, "auto.offset.reset": "error",
            "check.crcs": True, "log_level": 0})

    def end(self, partition):
        """The partition's end, from a leader that may be yet to be elected."""
        def ask():
            # A client of its own each time: one that knows a dead leader asks it until its time is over.
            consumer = self.consumer()
            try:
                return consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=10)
            except KafkaException as failure:
                self.trouble = failure
                return None
            finally:
                consumer.close()

        bounds = eventually(ask)
        assert bounds, f"{self.topic}-{partition} has no end: {self.trouble}"
        return bounds[1]

    def verify(self):
        """Nothing acknowledged is lost or elsewhere, nothing is there twice, and each partition is in the order of sending."""
        assert self.failures == [], self.failures[:3]
        found = self.read()
        for partition, offsets in self.acknowledged.items():
            log = found[partition]
            for offset, number in offsets.items():
                assert log.get(offset) == number, f"{self.topic}-{partition}: {number} was acknowledged at {offset}, there is {log.get(offset)}"
            numbers = [log[offset] for offset in sorted(log)]
            assert numbers == list(range(len(numbers))), f"{self.topic}-{partition}: out of order or not once"
            assert sorted(log) == list(range(len(log))), f"{self.topic}-{partition}: offsets are not dense"
        return sum(map(len, self.acknowledged.values()))
