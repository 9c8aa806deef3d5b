"""What a job with its default throttle costs ingest and clients that run beside it. See README.md."""

import argparse
import dataclasses
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

from batch import FIELDS, PARTITIONS, SITES, records
from fanout import load_on
from harness.kafka import ROOT, Cluster
from harness.node import BINARY, Node
from harness.waiting import wait_for
from rig import Redis, broker, topology

FILL = ROOT / "build" / "release" / "bench_consume"
KEYS = 10_000
ENDS = ("COMPLETED", "FAILED", "STOPPED", "ABANDONED")
ROWS_A_SECOND = 100  # of the table that the sessions look at


@dataclasses.dataclass
class Sessions:
    """What the load generator wants to know of a server."""

    port: int
    publish: str
    path: str = "/connection/websocket"
    protocol: str = "map"


class Ingest:
    """A paced producer, and how far the node is behind it."""

    def __init__(self, cluster: Cluster, server: Redis, topic: str):
        self.cluster, self.topic, self.client = cluster, topic, server.client()

    def applied(self) -> int:
        pipe = self.client.pipeline(transaction=False)
        for partition in range(PARTITIONS):
            pipe.hget(f"{{bench:live:{partition}}}", "next:ingested@1")
        return sum(int(position or 0) for position in pipe.execute())

    def sent(self) -> int:
        return sum(self.cluster.end_offsets(self.topic).values())

    def send(self, count: int, rate: int | None) -> dict[str, float]:
        """`behind`: seconds from the last acknowledged record until the node had applied all; `lag`: the most records it was behind meanwhile."""
        command = [str(FILL), self.cluster.bootstrap, self.topic, "--fill", str(count), "--keys", str(KEYS)]
        began = time.monotonic()
        with subprocess.Popen([*command, "--rate", str(rate)] if rate else command, stdout=subprocess.PIPE, text=True) as child:
            lags = []
            while child.poll() is None:
                # What was sent is asked for first: what comes in between the two questions is not counted as lag.
                lags.append(max(self.sent() - self.applied(), 0))
                time.sleep(0.1)  # between two looks
            if child.returncode != 0:
                raise SystemExit(f"bench_consume --fill: {child.returncode}")
            words = {name: float(value) for name, value in re.findall(r"(\w+)=([0-9.]+)", child.stdout.read())}
        ended, total = time.monotonic(), self.sent()
        wait_for(lambda: self.applied() >= total, 300, "the node to apply what was sent")
        now = time.monotonic()
        return {"sent_per_s": words["records_per_s"], "seconds": now - began, "behind": now - ended, "lag": max(lags), "middle_lag": statistics.median(lags)}


class Repeated:
    """The job, again and again, until it is told to end with the execution it is in."""

    def __init__(self, node: Node, rows: int):
        self.node, self.rows, self.runs, self.failure = node, rows, [], None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.ended.is_set():
            began = time.monotonic()
            answer = self.node.post("/api/v1/jobs/groups/run")
            if answer.status_code not in (200, 202):
                self.failure = f"{answer.status_code} {answer.text}"
                return
            execution = answer.json()  # of its end, unless it takes 10 s
            if answer.status_code == 202:
                name = execution["execution"]
                execution = wait_for(lambda name=name: next((e for e in self.node.json("/api/v1/jobs/groups/executions")["executions"] if e["id"] == name and e["status"] in ENDS), None), 120, "the job to end")
            if execution["status"] != "COMPLETED" or execution["read"] != self.rows:
                self.failure = str(execution)
                return
            self.runs.append(time.monotonic() - began)

    def end(self) -> list[float]:
        self.ended.set()
        self.thread.join(150)
        if self.failure or not self.runs:
            raise SystemExit(f"the job: {self.failure or 'it did not run once'}")
        return self.runs


def phase(ingest: Ingest, load, rate: int, seconds: float) -> dict:
    """Rows to the sessions and records to the node, at their rates, for so long."""
    result: dict = {}
    asking = threading.Thread(target=lambda: result.update(load.ask(f"rate {seconds:g} {ROWS_A_SECOND}", seconds + 120)), daemon=True)
    asking.start()
    arrived = ingest.send(int(rate * seconds), rate)
    asking.join(seconds + 150)
    if not result or result["missing"] or result["wrong"] or result["losses"]:
        raise SystemExit(f"deliveries are missing or wrong, the figures are none: {result}")
    return {"fanout": result["from_offset_ms"], **arrived}


def measure(args, folder: pathlib.Path, cluster: Cluster) -> None:
    server = Redis(folder / "redis")
    server.start()
    topics = {"readings": cluster.topic("batch", PARTITIONS), "live": cluster.topic("live", PARTITIONS), "shown": cluster.topic("shown", 1)}
    cluster.produce(topics["readings"], records(args.rows, 1))
    config = topology(cluster.bootstrap, server, topics["readings"], {
        "machines": {"from": "readings", "kind": "latest", "expected_rows": args.rows}, "ingested": {"from": "live", "kind": "latest"},
        "rows": {"from": "shown", "kind": "latest"}, "by_site": {"from": "job:groups", "kind": "latest"},
    }, jobs={"groups": {"on": "demand", "read": {"table": "machines"}, "group_by": "/site", "fields": FIELDS, "write": {"table": "by_site"}, **({"throttle": args.throttle} if args.throttle else {})}})
    config["sources"] = {name: {"topic": topic} for name, topic in topics.items()}
    node = Node(folder, config, "weir")
    load = None
    try:
        node.start().ready(120)
        ingest = Ingest(cluster, server, topics["live"])
        client = server.client()
        # A rewriting of the append-only file takes a core for seconds and would fall into any of the phases.
        client.config_set("auto-aof-rewrite-percentage", 0)
        wait_for(lambda: sum(int(client.hget(f"{{bench:readings:{p}}}", "next:machines@1") or 0) for p in range(PARTITIONS)) >= args.rows, 600, "the job's table to be filled")
        load = load_on(Sessions(node.port, f"kafka:{cluster.bootstrap}/{topics['shown']}"))
        load.ask(f"connect {args.sessions}", 120)
        load.ask(f"rate 2 {ROWS_A_SECOND}", 60)
        ingest.send(args.peak_records // 4, None)  # warm
        peaks = []
        for _ in range(3):
            found = ingest.send(args.peak_records, None)
            peaks.append(args.peak_records / found["seconds"])
        rate = args.rate or int(statistics.median(peaks) / 2)
        print(f"peak: {', '.join(f'{p:,.0f}' for p in peaks)} records/s from the first sent to the last applied; half of the median: {rate:,}", flush=True)
        phases: dict[str, list[dict]] = {"without": [], "with": []}
        runs: list[float] = []
        for number in range(args.rounds):
            # There and back, so that a machine that slows down or is left alone meanwhile favours neither.
            for name in ("without", "with") if number % 2 == 0 else ("with", "without"):
                cpu, began = node.process.cpu_seconds(), time.monotonic()
                job = Repeated(node, args.rows) if name == "with" else None
                found = phase(ingest, load, rate, args.seconds)
                if job:
                    runs += job.end()
                found["cores"] = (node.process.cpu_seconds() - cpu) / (time.monotonic() - began)
                phases[name].append(found)
                ms = found["fanout"]
                print(f"round {number + 1}, {name} the job: {found['sent_per_s']:,.0f} records/s, most behind {found['lag'] / rate * 1000:.0f} ms, at the end {found['behind'] * 1000:.0f} ms; "
                      f"fan-out p50 {ms['p50']:.1f}, p99 {ms['p99']:.1f}, most {ms['max']:.1f} ms", flush=True)
        if {row["n"] for row in node.rows("by_site").values()} != {args.rows // SITES}:
            raise SystemExit("the job's result is not what the rows give")
        node.stop()
    finally:
        if load:
            load.close()
        node.kill()
        server.kill()

    def middle(name: str, what) -> float:
        return statistics.median(what(found) for found in phases[name])

    print(f"\n{args.sessions} sessions that get {ROWS_A_SECOND} rows a second, {rate:,} records of 200 bytes a second into another table, medians of {args.rounds} times {args.seconds:g} s")
    print(f"{'':16} {'sent/s':>10} {'behind, middle':>15} {'most':>8} {'at the end':>11} {'fan-out p50':>12} {'p99':>8} {'max':>8} {'cores':>6}")
    for name in phases:
        print(f"{name + ' the job':16} {middle(name, lambda f: f['sent_per_s']):>10,.0f} {middle(name, lambda f: f['middle_lag']) / rate * 1000:>12.0f} ms {middle(name, lambda f: f['lag']) / rate * 1000:>5.0f} ms "
              f"{middle(name, lambda f: f['behind']) * 1000:>8.0f} ms {middle(name, lambda f: f['fanout']['p50']):>12.1f} {middle(name, lambda f: f['fanout']['p99']):>8.1f} "
              f"{middle(name, lambda f: f['fanout']['max']):>8.1f} {middle(name, lambda f: f['cores']):>6.2f}")
    print(f"the job ran {len(runs)} times, {statistics.median(runs):.2f} s for {args.rows} rows (median)")
    print(f"fan-out p99 with / without the job: {middle('with', lambda f: f['fanout']['p99']) / middle('without', lambda f: f['fanout']['p99']):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/batch/run --beside")
    parser.add_argument("--rows", type=int, default=1_000_000, help="that the job reads")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--peak-records", type=int, default=3_000_000, help="sent at once to find the peak")
    parser.add_argument("--rate", type=int, help="records a second, instead of half of the peak")
    parser.add_argument("--throttle", help="of the job, instead of the default: 50000/s, none")
    parser.add_argument("--seconds", type=float, default=10, help="of each phase")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="20,000 rows, one round of two seconds: does it work at all?")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the broker's data and the logs, kept afterwards")
    args = parser.parse_args()
    if args.quick:
        args.rows, args.rounds, args.seconds, args.peak_records, args.sessions = 20_000, 1, 2, 200_000, 20
    with broker("beside", args.keep, jit="full", heap="1g") as (folder, cluster):
        measure(args, folder, cluster)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    assert BINARY.exists() and FILL.exists()
    main()
