"""Latency from Kafka to a browser's SDK. See README.md."""

import argparse
import json
import pathlib
import shutil
import tempfile
import time

from harness.fleet import load
from harness.kafka import Cluster
from harness.node import Node
from harness.redis_server import RedisServer
from harness.sdk import SdkClient
from harness.waiting import wait_for


def percentile(values: list[float], share: float) -> float:
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=8)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-latency-"))
    cluster = Cluster(folder / "kafka", "kraft", jit="full").start()
    server = RedisServer(folder / "redis").start()
    topic = cluster.topic("latency", args.partitions)
    node = Node(folder, {
        "topology": "bench", "kafka": {"brokers": cluster.bootstrap, "group": f"latency-{time.monotonic_ns()}"}, "redis": {"url": server.url},
        "sources": {"readings": {"topic": topic, "format": "json"}}, "tables": {"machines": {"from": "readings", "kind": "latest"}},
    })
    client = None
    try:
        node.start().ready()
        client = SdkClient(node.websocket, "machines", "map", folder / "sdk.log")
        client.wait_event("subscribed")
        producer = cluster.producer
        count, warm = args.rate * args.seconds, args.rate * 5
        cpu = 0.0
        began = time.monotonic()
        for i in range(warm + count):
            # Paced by the clock, not by pauses: a late record does not make the next one late.
            wait_for(lambda: time.monotonic() >= began + i / args.rate, 10, "the next record's turn")
            if i == warm:
                cpu, at = node.process.cpu_seconds(), time.monotonic()
            key = load.machine(i % args.keys).encode()
            now = time.time()
            producer.produce(topic, json.dumps({"machine": key.decode(), "i": i, "sent": now}), key, i % args.keys % args.partitions, timestamp=int(now * 1000))
            producer.flush(0)
        share = (node.process.cpu_seconds() - cpu) / (time.monotonic() - at)
        producer.flush(30)

        def seen() -> list[dict]:
            return [event for event in client.of("update") if event["data"].get("i", -1) >= warm]

        wait_for(lambda: len({event["data"]["i"] for event in seen()}) >= count * 0.99, 30, lambda: f"updates to arrive, {len(seen())} have")
        # In milliseconds. A row overwritten within one frame shows its newest value only, so a few may be missing.
        taken = [(event["at"] - event["data"]["sent"] * 1000) for event in seen()]
        print(f"{len(taken)} updates of {count} records at {args.rate}/s over {args.partitions} partitions: p50 {percentile(taken, 0.5):.1f} ms, p90 {percentile(taken, 0.9):.1f} ms, "
              f"p99 {percentile(taken, 0.99):.1f} ms, most {max(taken):.1f} ms; the node took {share * 100:.1f} % of a core")
    finally:
        if client:
            client.quit()
        node.kill()
        server.kill()
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
