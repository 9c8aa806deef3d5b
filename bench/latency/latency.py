"""Latency from Kafka to a browser's SDK. See README.md."""

import argparse
import json
import pathlib
import subprocess
import time

from harness.fleet import load
from harness.kafka import ROOT, Cluster
from harness.node import Node
from harness.redis_server import RedisServer
from harness.waiting import wait_for
from rig import broker, topology


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=8)
    args = parser.parse_args()
    with broker("latency", jit="full") as (folder, cluster):
        measure(args, folder, cluster)


def measure(args, folder: pathlib.Path, cluster: Cluster) -> None:
    server = RedisServer(folder / "redis").start()
    topic = cluster.topic("latency", args.partitions)
    node = Node(folder, topology(cluster.bootstrap, server, topic, {"machines": {"from": "readings", "kind": "latest"}}))
    client = None
    try:
        node.start().ready()
        producer = cluster.producer
        count, warm = args.rate * args.seconds, args.rate * 5
        # A row that changes again within one frame is shown once, so a few updates may be missing.
        client = subprocess.Popen(["node", str(ROOT / "tests" / "sdk" / "latency.mjs"), "--url", node.websocket, "--table", "machines", "--field", "sent", "--count", str(int(count * 0.98)),
                                   "--warmup", str(warm), "--seconds", str(args.seconds + 30)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        wait_for(lambda: node.metric("weir_sessions") >= 1, 30, "the client to be there")
        cpu = 0.0
        began = time.monotonic()
        for i in range(warm + count):
            # Paced by the clock, not by pauses: a late record does not make the next one late.
            wait_for(lambda: time.monotonic() >= began + i / args.rate, 10, "the next record's turn")
            if i == warm:
                cpu, at = node.process.cpu_seconds(), time.monotonic()
            key = load.machine(i % args.keys).encode()
            now = time.time()
            producer.produce(topic, json.dumps({"machine": key.decode(), "i": i, "sent": now * 1000}), key, i % args.keys % args.partitions, timestamp=int(now * 1000))
            producer.flush(0)
        share = (node.process.cpu_seconds() - cpu) / (time.monotonic() - at)
        producer.flush(30)
        heard = json.loads(client.communicate(timeout=60)[0])
        print(f"{heard['count']} updates of {count} records at {args.rate}/s over {args.partitions} partitions: p50 {heard['p50']:.1f} ms, p90 {heard['p90']:.1f} ms, "
              f"p99 {heard['p99']:.1f} ms, most {heard['max']:.1f} ms; the node took {share * 100:.1f} % of a core")
    finally:
        if client:
            client.kill()
        node.kill()
        server.kill()


if __name__ == "__main__":
    main()
