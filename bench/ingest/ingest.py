"""Ingest, beside its two ceilings. See README.md."""

import argparse
import collections
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import time

from harness.kafka import ROOT, Cluster, Record
from harness.layout import Layout
from harness.node import BINARY, Node
from harness.waiting import wait_for
from rig import Redis, broker, topology

PARTITIONS = 8
CONSUME = ROOT / "build" / "release" / "bench_consume"


def records(count: int, keys: int, seed: int):
    """200 bytes of JSON each, valid as a whole; keys at random, each in its own partition."""
    rng = random.Random(seed)
    now = int(time.time() * 1000)
    for i in range(count):
        number = rng.randrange(keys)
        key = f"machine-{number:05d}"
        value = f'{{"machine":"{key}","site":"site-{number % 50:02d}","seq":1{i:08d},"cpu":{rng.random() * 100:.4f},"sensors":{{"temp":{rng.randrange(200, 900) / 10},"fan":1200}},"note":"'
        yield Record(key.encode(), (value.ljust(198, "x") + '"}').encode(), number % PARTITIONS, now)


def librdkafka_alone(bootstrap: str, topic: str, count: int) -> tuple[float, float]:
    """(records/s, CPU seconds per million)"""
    done = subprocess.run([str(CONSUME), bootstrap, topic, str(count)], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench_consume: {done.stdout}{done.stderr}")
    words = dict(re.findall(r"(\w+)=([0-9.]+)", done.stdout))
    return float(words["records_per_s"]), float(words["cpu_s_per_million"])


def weir(folder: pathlib.Path, bootstrap: str, topic: str, count: int, ends: dict[int, int]) -> dict[str, float]:
    server = Redis(folder / "redis")
    server.start()
    node = Node(folder, topology(bootstrap, server, topic, {"machines": {"from": "readings", "kind": "latest"}}), "weir")
    layout = Layout(server.client(), "bench", "readings")
    client = server.client()
    try:
        node.start()
        heads = [f"{{bench:readings:{p}}}" for p in ends]

        def applied() -> int:
            pipe = client.pipeline(transaction=False)
            for head in heads:
                pipe.hget(head, "next:machines@1")
            return sum(max(int(position or 0), 0) for position in pipe.execute())

        total = sum(ends.values())
        first = wait_for(applied, 120, lambda: f"the first record\n{node.tail()}")
        began, cpu, redis_cpu = time.monotonic(), node.process.cpu_seconds(), server.process.cpu_seconds()
        peak = 0.0
        deadline = began + 600
        while (here := applied()) < total:
            if time.monotonic() > deadline or not node.alive():
                raise SystemExit(f"weir stopped at {here} of {total}\n{node.tail()}")
            peak = max(peak, node.process.memory_mib())
            time.sleep(0.005)
        seconds = time.monotonic() - began
        done = total - first
        result = {
            "rate": done / seconds, "cpu": (node.process.cpu_seconds() - cpu) / done * 1e6, "redis_cpu": (server.process.cpu_seconds() - redis_cpu) / done * 1e6,
            "whole_cpu": node.process.cpu_seconds() / total * 1e6, "memory": peak, "measured": done,
        }
        assert layout.latest("machines").keys() == {key.decode() for key in KEYS}, "the table is not what was sent"
        node.stop()
        return result
    finally:
        node.kill()
        server.kill()

KEYS: set[bytes] = set()


class Link:
    """Commands made beforehand, answers only counted: what is measured is Redis."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def send(self, data: bytes, answers: int) -> None:
        self.socket.sendall(data)
        left = answers
        while left > 0:
            chunk = self.socket.recv(65536)
            if not chunk or chunk.startswith(b"-"):
                raise SystemExit(f"Redis: {chunk!r}")
            left -= chunk.count(b"\n")


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def redis_alone(folder: pathlib.Path, source: list[Record], batch: int | None) -> tuple[float, float, float]:
    """Batches of `batch` records a partition, the newest record of each key in one HSET beside the position; None: one HSET a record.
    (records/s, CPU seconds of Redis per million, fields written a record)"""
    chunks: list[tuple[bytes, int]] = []
    fields = 0
    if batch is None:
        for at in range(0, len(source), 500):
            part = source[at : at + 500]
            chunks.append((b"".join(command(b"HSET", b"rows:%d" % record.partition, record.key, record.value) for record in part), len(part)))
        fields = len(source)
    else:
        gathered: dict[int, list[Record]] = collections.defaultdict(list)

        def close(partition: int) -> None:
            nonlocal fields
            rows = {record.key: record.value for record in gathered[partition]}
            fields += len(rows)
            words = [word for row in rows.items() for word in row]
            chunks.append((command(b"HSET", b"rows:%d" % partition, *words) + command(b"HSET", b"head:%d" % partition, b"next", b"%d" % len(chunks)), 2))
            gathered[partition] = []

        for record in source:
            gathered[record.partition].append(record)
            if len(gathered[record.partition]) == batch:
                close(record.partition)
        for partition in [p for p, rest in gathered.items() if rest]:
            close(partition)
    server = Redis(folder)
    server.start()
    try:
        link = Link(server.path)
        cpu, began = server.process.cpu_seconds(), time.monotonic()
        for data, answers in chunks:
            link.send(data, answers)
        seconds = time.monotonic() - began
        return len(source) / seconds, (server.process.cpu_seconds() - cpu) / len(source) * 1e6, fields / len(source)
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=16_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the broker's data and the logs, kept afterwards")
    args = parser.parse_args()
    with broker("ingest", args.keep, jit="full", heap="1g") as (folder, cluster):
        measure(args, folder, cluster)


def measure(args, folder: pathlib.Path, cluster: Cluster) -> None:
    topic = cluster.topic("ingest", PARTITIONS)
    source = list(records(args.records, args.keys, args.seed))
    KEYS.update(record.key for record in source)
    sizes = [len(record.value) for record in source[:1000]]
    assert min(sizes) == max(sizes) == 200
    began = time.monotonic()
    cluster.produce(topic, source)
    ends = cluster.end_offsets(topic)
    print(f"{args.records} records of 200 bytes, {args.keys} keys, {PARTITIONS} partitions, seed {args.seed}; filled in {time.monotonic() - began:.0f} s", flush=True)
    rows = collections.defaultdict(list)
    librdkafka_alone(cluster.bootstrap, topic, args.records)  # warms the broker's page cache and its compiler for all
    for number in range(args.rounds):
        alone = librdkafka_alone(cluster.bootstrap, topic, args.records)
        rows["librdkafka"].append(alone)
        mine = weir(folder / f"weir-{number}", cluster.bootstrap, topic, args.records, ends)
        rows["weir"].append(mine)
        batched = redis_alone(folder / f"batched-{number}", source, args.batch)
        rows["batched"].append(batched)
        single = redis_alone(folder / f"single-{number}", source[: min(len(source), 500_000)], None)
        rows["single"].append(single)
        print(f"round {number + 1}: librdkafka {alone[0]:,.0f}/s, weir {mine['rate']:,.0f}/s ({mine['rate'] / alone[0]:.2f}), Redis batched {batched[0]:,.0f}/s, one by one {single[0]:,.0f}/s", flush=True)

    def line(name: str, rates: list[float], *more: str) -> None:
        print(f"{name:34} {min(rates):>12,.0f} {statistics.median(rates):>12,.0f} {max(rates):>12,.0f}   " + ", ".join(more))

    def middle(values) -> str:
        return f"{statistics.median(values):.2f}"

    print(f"\n{'records/s':34} {'least':>12} {'median':>12} {'most':>12}   CPU seconds per million records")
    line("librdkafka alone", [row[0] for row in rows["librdkafka"]], middle(row[1] for row in rows["librdkafka"]))
    line("weir, Kafka to Redis", [row["rate"] for row in rows["weir"]], f"weir {middle(row['cpu'] for row in rows['weir'])}", f"Redis {middle(row['redis_cpu'] for row in rows['weir'])}",
         f"at most {max(row['memory'] for row in rows['weir']):.0f} MiB", f"{min(row['measured'] for row in rows['weir']) / args.records:.0%} of the records within the measured time")
    line(f"Redis alone, batches of {args.batch}", [row[0] for row in rows["batched"]], f"Redis {middle(row[1] for row in rows['batched'])}", f"{rows['batched'][0][2]:.2f} fields a record")
    line("Redis alone, record by record", [row[0] for row in rows["single"]], f"Redis {middle(row[1] for row in rows['single'])}")
    ratio = statistics.median(row["rate"] for row in rows["weir"]) / statistics.median(row[0] for row in rows["librdkafka"])
    print(f"\nweir / librdkafka alone (medians): {ratio:.2f}")

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    assert BINARY.exists() and CONSUME.exists()
    main()
