"""Real Kafka brokers, by scripts/kafka-local.sh, and an independent client for what goes in and comes out."""

import contextlib
import itertools
import os
import pathlib
import subprocess
import time
from dataclasses import dataclass, field
from typing import Callable, Iterable, Iterator

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

from .waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "kafka-local.sh"
_number = itertools.count(1)
# A broker that a test ends on purpose is nothing to report.
QUIET = {"log_level": 0}


@dataclass
class Record:
    key: bytes | None
    value: bytes | None
    partition: int
    time_ms: int
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    offset: int = -1  # set once it was delivered or read
    parsed: object = None  # the oracle's own note


def produce(producer: confluent_kafka.Producer, topic: str, records: Iterable[Record]) -> list[Record]:
    """Sends all, waits for their acknowledgement, and fills in the offsets. Order within a partition is kept."""
    sent, failures = [], []

    def note(record: Record):
        def done(error, message):
            if error:
                failures.append(error)
            else:
                record.offset = message.offset()
        return done

    for record in records:
        sent.append(record)
        while True:
            try:
                producer.produce(topic, record.value, record.key, record.partition, on_delivery=note(record), timestamp=record.time_ms, headers=record.headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(120) == 0, "records were not delivered in time"
    assert not failures, failures[:3]
    return sent


class Cluster:
    def __init__(self, folder: pathlib.Path, mode: str, jit: str = "quick", heap: str = "512m"):
        self.folder, self.mode, self.jit, self.heap = folder, mode, jit, heap
        self.bootstrap = ""

    def start(self) -> "Cluster":
        self._run("start", "--mode", self.mode, "--jit", self.jit, "--heap", self.heap, "--timeout", "240")
        for line in (self.folder / "env").read_text().splitlines():
            name, _, value = line.partition("=")
            if name == "KAFKA_BOOTSTRAP":
                self.bootstrap = value.strip("'")
        assert self.bootstrap
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})
        self.producer = confluent_kafka.Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                                  "queue.buffering.max.messages": 1000000, "message.max.bytes": 20 << 20, **QUIET})
        return self

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run(["bash", str(SCRIPT), command, "--dir", str(self.folder), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"kafka-local.sh {command}: {done.stdout}"

    def stop(self) -> None:
        self._run("stop")

    def term_broker(self, number: int = 1) -> None:
        self._run("term", str(number))

    def kill_broker(self, number: int = 1) -> None:
        self._run("kill", str(number))

    def restart_broker(self, number: int = 1) -> None:
        self._run("restart", str(number))

    def topic(self, name: str = "topic", partitions: int = 8, **config: str) -> str:
        """A fresh topic; its name begins with `name`."""
        full = f"{name}-{os.getpid()}-{next(_number)}"
        self.create(full, partitions, **config)
        return full

    def create(self, name: str, partitions: int, **config: str) -> None:
        # Records of the tests have timestamps of years ago, which a broker would drop as too old.
        settings = {"retention.ms": "-1", **{key.replace("_", "."): value for key, value in config.items()}}
        made = self.admin.create_topics([NewTopic(name, partitions, 1, config=settings)], request_timeout=30)
        made[name].result(30)
        # A broker may hear of it a moment after the controller has made it.
        wait_for(lambda: (found := self.admin.list_topics(name, timeout=10).topics.get(name)) and not found.error and len(found.partitions) == partitions, 30, f"topic {name}")

    def delete(self, name: str) -> None:
        self.admin.delete_topics([name], request_timeout=30)[name].result(30)

    def produce(self, topic: str, records: Iterable[Record]) -> list[Record]:
        """Sends all, waits for their acknowledgement, and fills in the offsets. Order within a partition is kept."""
        return produce(self.producer, topic, records)

    def read_all(self, topic: str, committed: bool = True) -> list[Record]:
        """All records of a topic as it stands, in order of partition and offset. `committed`: without those of transactions that were given up."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"reader-{next(_number)}", "enable.auto.commit": False,
                                             "auto.offset.reset": "earliest", "enable.partition.eof": True,
                                             "isolation.level": "read_committed" if committed else "read_uncommitted", "fetch.message.max.bytes": 20 << 20, **QUIET})
        try:
            partitions = consumer.list_topics(topic, 30).topics[topic].partitions
            left = set(partitions)
            consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in partitions])
            found = []
            deadline = time.monotonic() + 60
            while left:
                assert time.monotonic() < deadline, f"nothing more came of {topic}, partitions {left} have not ended"
                batch = consumer.consume(1000, 0.1)
                for message in batch:
                    if message.error():
                        assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF, message.error()
                        left.discard(message.partition())
                    else:
                        found.append(Record(message.key(), message.value(), message.partition(), message.timestamp()[1], message.headers() or [], message.offset()))
            return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            consumer.close()

    def end_offsets(self, topic: str) -> dict[int, int]:
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": "ends", **QUIET})
        try:
            partitions = consumer.list_topics(topic, 30).topics[topic].partitions
            return {p: consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, p), 30)[1] for p in partitions}
        finally:
            consumer.close()

    @contextlib.contextmanager
    def watch(self, topic: str) -> Iterator[Callable[[], int]]:
        """How many records the topic has, those of open transactions and the marks of their ends included; answered within milliseconds."""
        # Whoever reads committed records only is told the end of these.
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": "ends", "isolation.level": "read_uncommitted", **QUIET})
        try:
            partitions = [confluent_kafka.TopicPartition(topic, p) for p in consumer.list_topics(topic, 30).topics[topic].partitions]
            yield lambda: sum(consumer.get_watermark_offsets(partition, 30)[1] for partition in partitions)
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, int]:
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, **QUIET})
        try:
            partitions = consumer.list_topics(topic, 30).topics[topic].partitions
            return {t.partition: t.offset for t in consumer.committed([confluent_kafka.TopicPartition(topic, p) for p in partitions], 30)}
        finally:
            consumer.close()
