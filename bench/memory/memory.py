"""Bytes by row, in Redis and in the node. See README.md."""

import argparse
import collections
import pathlib
import re
import time

import redis
from harness.kafka import Cluster, Record
from harness.layout import Layout
from harness.node import BINARY, Node
from harness.redis_server import RedisServer, version
from harness.waiting import wait_for
from rig import broker, topology

PARTITIONS = 8
TABLES = {
    "latest": {"kind": "latest"},
    "latest_ttl": {"kind": "latest", "ttl": "24h"},
    "aggregate": {"kind": "aggregate", "key": "/machine", "fields": {"n": "count", "cpu_max": {"max": "/cpu"}, "cpu_avg": {"avg": "/cpu"}}},
    "log": {"kind": "log", "keep": {"count": 100_000_000}},
}


def records(rows: int, size: int):
    """Each key once."""
    now = int(time.time() * 1000)
    for i in range(rows):
        key = f"machine-{i:08d}"
        value = f'{{"machine":"{key}","cpu":{i % 1000 / 10},"note":"'
        yield Record(key.encode(), (value.ljust(size - 2, "x") + '"}').encode(), i % PARTITIONS, now)


def used(client: redis.Redis) -> dict[tuple[str, str], int]:
    """Bytes by (table, part), as Redis itself counts them for each key."""
    found: dict[tuple[str, str], int] = collections.Counter()
    for key in client.scan_iter("{bench:readings:*", count=1000):
        part = re.match(r"^\{[^}]+\}:([a-z]):(\w+)@1", key.decode())
        if part:
            found[part[2], part[1]] += client.memory_usage(key, samples=0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=200)
    args = parser.parse_args()
    assert BINARY.exists()
    if args.bytes < 64:
        parser.error("--bytes: at least 64, for the key and a number are in it")
    with broker("memory") as (folder, cluster):
        measure(args, folder, cluster)


def measure(args, folder: pathlib.Path, cluster: Cluster) -> None:
    # Never rewritten, so that the append-only file has all that was written.
    server = RedisServer(folder / "redis", arguments=("--auto-aof-rewrite-percentage", "0")).start()
    node = None
    try:
        topic = cluster.topic("memory", PARTITIONS)
        cluster.produce(topic, list(records(args.rows, args.bytes)))
        client = server.client()
        empty, file_before = client.info("memory")["used_memory"], client.info("persistence")["aof_current_size"]
        tables = {name: {"from": "readings", "max_view_bytes": "8GiB", **table} for name, table in TABLES.items()}
        for name in tables:
            if name != "log":
                tables[name]["expected_rows"] = args.rows
        node = Node(folder, topology(cluster.bootstrap, server, topic, tables)).start().ready()
        layout = Layout(client, "bench", "readings")
        for name in tables:
            wait_for(lambda name=name: sum(layout.positions(name).values()) == args.rows, 300, lambda name=name: f"{name} to be filled: {layout.positions(name)}")
        info = client.info("memory")
        parts = used(client)
        wait_for(lambda: client.info("persistence")["aof_buffer_length"] == 0, 10, "the append-only file to be written")
        written = client.info("persistence")["aof_current_size"] - file_before
        print(f"{args.rows} records of {args.bytes} bytes, keys of 16, {PARTITIONS} partitions, each key once; {version()}\n")
        print(f"{'Redis, bytes by row':24} {'rows':>8} {'expiry':>8} {'changes':>8} {'log':>8}")
        for name in tables:
            print(f"{name:24} " + " ".join(f"{parts.get((name, part), 0) / args.rows:8.0f}" for part in ("t", "x", "c", "l")))
        print(f"all of it: {(info['used_memory'] - empty) / args.rows:.0f} bytes by record in used_memory, of which keys {sum(parts.values()) / args.rows:.0f}; "
              f"append-only file {written / args.rows:.0f}\n")
        print(f"{'node, bytes by row':24} {'counted':>8} {'resident':>8}")
        for name in tables:
            if name == "log":
                continue  # its ring is bounded by itself
            before = node.process.memory_mib()
            assert len(node.rows(name)) == args.rows
            counted = node.metric("weir_table_bytes", table=name)
            print(f"{name:24} {counted / args.rows:8.0f} {(node.process.memory_mib() - before) * 1048576 / args.rows:8.0f}", flush=True)
        assert node.stop() == 0
    finally:
        if node:
            node.kill()
        server.kill()


if __name__ == "__main__":
    main()
