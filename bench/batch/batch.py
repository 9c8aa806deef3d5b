"""A job's group-by over a table of each kind, beside Redis' own read ceiling and Spring Batch. See README.md."""

import argparse
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import time

from harness.kafka import ROOT, Cluster, Record
from harness.node import BINARY, Node
from harness.redis_server import RedisServer
from harness.waiting import wait_for
from rig import Redis, broker, topology

PARTITIONS = 8
SITES = 50
READ = ROOT / "build" / "release" / "bench_batch_read"
FIELDS = {"n": "count", "cpu_sum": {"sum": "/cpu"}, "cpu_max": {"max": "/cpu"}}


def records(count: int, seed: int):
    """200 bytes of JSON each, a key of its own each."""
    rng = random.Random(seed)
    now = int(time.time() * 1000)
    for i in range(count):
        value = f'{{"machine":"m{i:07d}","site":"site-{i % SITES:02d}","cpu":{rng.randrange(10_000)},"note":"'
        yield Record(b"m%07d" % i, (value.ljust(198, "x") + '"}').encode(), i % PARTITIONS, now)


def run_job(node: Node, server: Redis, job: str, rows: int) -> dict[str, float]:
    """The execution's own time: from its start to the commit of its result."""
    before = {execution["id"] for execution in node.json(f"/api/v1/jobs/{job}/executions")["executions"]}
    cpu, redis_cpu = node.process.cpu_seconds(), server.process.cpu_seconds()
    answer = node.post(f"/api/v1/jobs/{job}/run")
    if answer.status_code not in (200, 202):
        raise SystemExit(f"{job}: {answer.status_code} {answer.text}")

    def ended():
        new = [e for e in node.json(f"/api/v1/jobs/{job}/executions")["executions"] if e["id"] not in before]
        return new[0] if new and new[0]["status"] in ("COMPLETED", "FAILED", "STOPPED", "ABANDONED") else None

    execution = wait_for(ended, 600, lambda: f"{job} to end\n{node.tail()}")
    if execution["status"] != "COMPLETED" or execution["read"] != rows:
        raise SystemExit(f"{job}: {execution}")
    return {
        "seconds": (execution["ended"] - execution["started"]) / 1000,
        "cpu": node.process.cpu_seconds() - cpu, "redis_cpu": server.process.cpu_seconds() - redis_cpu,
    }


def read_alone(server: Redis, kind: str, keys: list[bytes], rows: int) -> dict[str, float]:
    cpu = server.process.cpu_seconds()
    done = subprocess.run([str(READ), server.path, kind, *(key.decode() for key in keys)], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench_batch_read: {done.stderr}")
    words = {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}
    if words["fields"] != rows:
        raise SystemExit(f"bench_batch_read saw {words['fields']:.0f} of {rows} rows")
    return {"seconds": words["seconds"], "cpu": words["cpu"], "redis_cpu": server.process.cpu_seconds() - cpu}


def spring_jars(folder: pathlib.Path) -> pathlib.Path:
    built = ROOT / "build" / "spring-batch"
    pom = ROOT / "bench" / "batch" / "spring" / "pom.xml"
    log = folder / "maven.log"
    with log.open("wb") as out:
        done = subprocess.run(["mvn", "-B", "-q", "-f", str(pom), f"-DbuildDirectory={built}", "package"], stdout=out, stderr=out, timeout=900, check=False)
    if done.returncode != 0:
        raise SystemExit(f"Maven failed:\n{log.read_text(errors='replace')[-2000:]}")
    return built


def spring(folder: pathlib.Path, built: pathlib.Path, rows: int, rounds: int) -> list[dict[str, float]]:
    server = RedisServer(folder / "spring-redis")
    server.start()
    try:
        client = server.client()
        pipe = client.pipeline(transaction=False)
        for i, record in enumerate(records(rows, 1)):
            pipe.set(b"row:" + record.key, record.value)
            if i % 5000 == 4999:
                pipe.execute()
        pipe.execute()
        results = []
        for _ in range(rounds):
            cpu = os.times()
            done = subprocess.run(["java", "-Xmx1g", "-cp", f"{built}/spring.jar:{built}/lib/*", "Main", "127.0.0.1", str(server.port), "1000"],
                                  capture_output=True, text=True, timeout=900, check=False)
            if done.returncode != 0:
                raise SystemExit(f"Spring Batch: {done.stdout}{done.stderr}")
            words = {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}
            if words["rows"] != rows or words["groups"] != SITES:
                raise SystemExit(f"Spring Batch: {done.stdout}")
            after = os.times()
            results.append({"seconds": words["seconds"], "cpu": after.children_user + after.children_system - cpu.children_user - cpu.children_system})
        return results
    finally:
        server.kill()


def expected(rows: int) -> dict[str, dict]:
    groups: dict[str, list[int]] = {}
    for record in records(rows, 1):
        row = json.loads(record.value)
        groups.setdefault(row["site"], []).append(row["cpu"])
    return {site: {"n": len(cpu), "cpu_sum": sum(cpu), "cpu_max": max(cpu)} for site, cpu in groups.items()}


def measure(args, folder: pathlib.Path, cluster: Cluster) -> None:
    topic = cluster.topic("batch", PARTITIONS)
    cluster.produce(topic, records(args.rows, 1))
    server = Redis(folder / "redis")
    server.start()
    def job(table: str, into: str) -> dict:
        return {"on": "demand", "read": {"table": table}, "group_by": "/site", "fields": FIELDS, "throttle": "none", "write": {"table": into}}
    tables = {
        "machines": {"from": "readings", "kind": "latest", "expected_rows": args.rows}, "history": {"from": "readings", "kind": "log", "keep": {"count": args.rows * 2}},
        "by_machine": {"from": "job:of_latest", "kind": "latest"}, "by_entry": {"from": "job:of_log", "kind": "latest"},
    }
    jobs = {"of_latest": job("machines", "by_machine"), "of_log": job("history", "by_entry")}
    node = Node(folder, topology(cluster.bootstrap, server, topic, tables, jobs=jobs), "weir")
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in ("weir latest", "Redis latest", "weir log", "Redis log")}
    try:
        node.start().ready(120)
        client = server.client()
        ends = cluster.end_offsets(topic)

        def filled() -> bool:
            heads = [client.hmget(f"{{bench:readings:{p}}}", "next:machines@1", "next:history@1") for p in ends]
            return all(int(position or 0) >= end for head, end in zip(heads, ends.values(), strict=True) for position in head)

        wait_for(filled, 600, lambda: f"the tables to be filled\n{node.tail()}")
        buckets = [key for p in ends for key in client.scan_iter(f"{{bench:readings:{p}}}:t:machines@1:*", count=10_000)]
        streams = [f"{{bench:readings:{p}}}:l:history@1".encode() for p in ends]
        wanted = expected(args.rows)
        for number in range(args.rounds):
            figures["Redis latest"].append(read_alone(server, "hash", buckets, args.rows))
            figures["weir latest"].append(run_job(node, server, "of_latest", args.rows))
            figures["Redis log"].append(read_alone(server, "stream", streams, args.rows))
            figures["weir log"].append(run_job(node, server, "of_log", args.rows))
            print(f"round {number + 1}: " + ", ".join(f"{name} {rows[-1]['seconds']:.2f} s" for name, rows in figures.items()), flush=True)
        for table in ("by_machine", "by_entry"):
            if node.rows(table) != wanted:
                raise SystemExit(f"{table} is not what the rows give")
        memory = node.process.memory_mib()
        node.stop()
    finally:
        node.kill()
        server.kill()

    def middle(rows: list[dict[str, float]], name: str) -> float:
        return statistics.median(row[name] for row in rows)

    print(f"\n{args.rows} rows of 200 bytes, {SITES} groups, {PARTITIONS} partitions, medians of {args.rounds}; weir at most {memory:.0f} MiB")
    print(f"{'':24} {'seconds':>9} {'rows/s':>12} {'CPU s':>8} {'Redis CPU s':>12}")
    for name, rows in figures.items():
        print(f"{name:24} {middle(rows, 'seconds'):>9.2f} {args.rows / middle(rows, 'seconds'):>12,.0f} {middle(rows, 'cpu'):>8.2f} {middle(rows, 'redis_cpu'):>12.2f}")
    for kind in ("latest", "log"):
        print(f"weir / Redis alone, {kind}: {middle(figures[f'weir {kind}'], 'seconds') / middle(figures[f'Redis {kind}'], 'seconds'):.2f} of its time")
    if args.quick:
        return
    own = args.rows / middle(figures["weir latest"], "seconds")
    other = spring(folder, spring_jars(folder), args.spring_rows, args.rounds)
    rate = args.spring_rows / middle(other, "seconds")
    print(f"{'Spring Batch 5':24} {middle(other, 'seconds'):>9.2f} {rate:>12,.0f} {middle(other, 'cpu'):>8.2f}   ({args.spring_rows} rows; the job alone, its CPU with the JVM's start)")
    print(f"weir / Spring Batch, latest: {own / rate:.0f} times the rows a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--spring-rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="20,000 rows, one round, without Spring Batch")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the broker's data and the logs, kept afterwards")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.rounds = 20_000, 1
    with broker("batch", args.keep, jit="full", heap="1g") as (folder, cluster):
        measure(args, folder, cluster)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    assert BINARY.exists() and READ.exists()
    main()
