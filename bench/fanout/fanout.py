"""Deliveries to many WebSockets: weir beside peers and a ceiling. See README.md."""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from forms import CHANNEL, forms
from harness.kafka import ROOT, Cluster
from harness.node import BINARY, Node
from harness.ports import free_port
from harness.redis_server import RedisServer

HERE = ROOT / "bench" / "fanout"
BUILD = pathlib.Path(os.environ.get("WEIR_BENCH") or ROOT / "build" / "release")
PEERS = ROOT / "build" / "fanout"
UNSOUND: list[str] = []  # measurements whose deliveries were not what was published: their figures are none
PATTERNS = {"one": "one at a time", "burst": "bursts of 16", "rate": "50 a second"}


def cpu(pid: int) -> tuple[float, float]:
    """User and system seconds of all threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def rss_kib(pid: int) -> int:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SystemExit(f"process {pid} has no memory any more")


class Piped:
    """A program that speaks JSON lines: one at its start, then one a command. Ends with its input."""

    def __init__(self, name: str, command: list[str]):
        self.name = name
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = self.listen(60)

    def listen(self, seconds: float) -> dict:
        # A program that hangs is ended, so that the reading below ends as well.
        watch = threading.Timer(seconds, self.child.kill)
        watch.start()
        line = self.child.stdout.readline()
        watch.cancel()
        if not line:
            raise SystemExit(f"{self.name} ended: exit {self.child.wait(10)}, or was ended after {seconds:g} s without an answer")
        return json.loads(line)

    def ask(self, command: str, seconds: float = 120) -> dict:
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return self.listen(seconds)

    def close(self) -> None:
        try:
            self.child.stdin.close()
            self.child.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self.child.kill()
            self.child.wait()


class Weir:
    """The whole node with a Redis of its own; rows come by a real Kafka."""

    protocol, path = "map", "/connection/websocket"

    def __init__(self, folder: pathlib.Path, cluster: Cluster, partitions: int = 1, binary: pathlib.Path = BINARY, table: str = "rows", **http):
        self.redis = RedisServer(folder / "redis").start()
        self.topic = cluster.topic("fanout", partitions)
        self.node = Node(folder, {
            "topology": "bench", "kafka": {"brokers": cluster.bootstrap, "group": f"fanout-{time.monotonic_ns()}"}, "redis": {"url": self.redis.url},
            "sources": {"input": {"topic": self.topic, "format": "json"}}, "tables": {table: {"from": "input", "kind": "latest"}},
            "http": {"listen": f"127.0.0.1:{free_port()}", **http},
        }, binary=binary)
        self.node.start().ready()
        self.port, self.publish = self.node.port, f"kafka:{cluster.bootstrap}/{self.topic}"

    @property
    def pid(self) -> int:
        return self.node.process.pid

    @property
    def beside(self) -> int | None:
        return self.redis.process.pid

    def close(self) -> None:
        self.node.kill()
        self.redis.kill()


class Peer:
    beside = None

    def __init__(self, name: str, command: list[str], protocol: str, path: str, publish: str, through: str | None = None):
        """Rows go to its control port, or `through` something else."""
        self.protocol, self.path = protocol, path
        self.piped = Piped(name, command)
        self.port, self.pid = self.piped.hello["port"], self.piped.child.pid
        self.publish = through or publish + str(self.piped.hello["control"])

    def close(self) -> None:
        self.piped.close()


def make_server(name: str, folder: pathlib.Path, cluster: Cluster | None, args):
    if name == "weir":
        return Weir(folder, cluster, args.partitions)
    if name == "before":
        return Weir(folder, cluster, args.partitions, args.before)
    if name == "writer":
        return Peer(name, [str(BUILD / "bench_fanout_writer")], "raw", "/", "tcp:")
    if name == "kafka-writer":
        topic = cluster.topic("fanout", 1)
        return Peer(name, [str(BUILD / "bench_fanout_writer"), cluster.bootstrap, topic], "raw", "/", "", f"kafka:{cluster.bootstrap}/{topic}")
    if name == "socketify":
        return Peer(name, [str(ROOT / "build" / "venv-socketify" / "bin" / "python"), str(HERE / "socketify" / "server.py")], "raw", "/", "ws:")
    return Peer(name, [str(PEERS / "centrifuge")], "stream", "/connection/websocket", "tcp:")


def load_on(server, *more: str) -> Piped:
    return Piped("bench_fanout_load", [str(BUILD / "bench_fanout_load"), "--connect", f"{server.port}{server.path}", "--protocol", server.protocol, "--publish", server.publish, *more])


def settled_rss(pid: int) -> int:
    """Resident KiB once it rests: the same for a second, or after ten."""
    last, since, until = rss_kib(pid), time.monotonic(), time.monotonic() + 10
    while time.monotonic() < min(since + 1, until):
        time.sleep(0.1)  # between two looks
        if (now := rss_kib(pid)) != last:
            last, since = now, time.monotonic()
    return last


def spent(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    return after[0] - before[0], after[1] - before[1]


def one_server(name: str, sessions: int, folder: pathlib.Path, cluster: Cluster | None, args) -> dict:
    """A fresh server, its sessions, and each pattern once."""
    server = make_server(name, folder, cluster, args)
    load = None
    try:
        load = load_on(server, "--row-bytes", str(args.row_bytes), "--partitions", str(args.partitions))
        # What the first few cost is the server's own.
        load.ask("connect 16")
        load.ask("publish")
        empty = settled_rss(server.pid)
        opened = load.ask(f"connect {sessions}")
        load.ask("publish")
        full = settled_rss(server.pid)
        found = {"server": name, "sessions": sessions, "kib_per_session": (full - empty) / sessions, "rss_mib": full / 1024, "connect_s": opened["seconds"], "patterns": {}}
        for pattern in args.patterns:
            command = {"one": f"one {args.seconds}", "burst": f"burst {args.seconds} 16", "rate": f"rate {args.seconds} 50"}[pattern]
            load.ask({"one": "one 1", "burst": "burst 1 16", "rate": "rate 1 50"}[pattern], 120)  # warm
            before, beside = cpu(server.pid), cpu(server.beside) if server.beside else (0, 0)
            result = load.ask(command, args.seconds + 120)
            user, system = spent(before, cpu(server.pid))
            redis = sum(spent(beside, cpu(server.beside))) if server.beside else None
            millions = result["deliveries"] / 1e6
            result |= {
                "cpu_s_per_million": (user + system) / millions, "user_s_per_million": user / millions, "system_s_per_million": system / millions,
                "redis_cpu_s_per_million": None if redis is None else redis / millions, "load_cpu_s_per_million": result["load_cpu_s"] / millions,
                "rows_per_message": result["deliveries"] / max(result["messages"], 1),
            }
            found["patterns"][pattern] = result
            if result["missing"] or result["wrong"] or result["losses"]:
                UNSOUND.append(f"{name}, {sessions} sessions, {PATTERNS[pattern]}")
                print(f"  {name}, {PATTERNS[pattern]}: {result['missing']} deliveries left out, {result['wrong']} sessions with others than were sent, {result['losses']} connections lost", flush=True)
        return found
    finally:
        if load:
            load.close()
        server.close()


def middle(rounds: list[dict], *path: str):
    def dig(found):
        for step in path:
            found = found[step]
        return found

    values = [dig(found) for found in rounds]
    return None if None in values else statistics.median(values)


def compare(folder: pathlib.Path, cluster: Cluster | None, args) -> dict:
    every: dict[str, dict[str, list[dict]]] = {}
    for sessions in args.sessions:
        for number in range(args.rounds):
            # There and back, so that a machine that slows down or is left alone meanwhile favours nobody.
            for name in args.servers if number % 2 == 0 else reversed(args.servers):
                found = one_server(name, sessions, folder / f"{name}-{sessions}-{number}", cluster, args)
                every.setdefault(str(sessions), {}).setdefault(name, []).append(found)
                print(f"{sessions} sessions, round {number + 1}, {name}: " + ", ".join(
                    f"{PATTERNS[p]} {r['cpu_s_per_million']:.2f} CPU s/M at {r['per_s']:,.0f}/s" for p, r in found["patterns"].items()) + f", {found['kib_per_session']:.1f} KiB a session", flush=True)
    print()
    for sessions, servers in every.items():
        for pattern in args.patterns:
            print(f"{sessions} sessions, {PATTERNS[pattern]}")
            print(f"  {'':12} {'deliveries/s':>13} {'CPU s/million':>14} {'user':>7} {'system':>7} {'Redis':>7} {'rows/message':>13} {'weir is':>9}")
            mine = middle(servers["weir"], "patterns", pattern, "cpu_s_per_million") if "weir" in servers else None
            for name, rounds in servers.items():
                def at(what, rounds=rounds, pattern=pattern):
                    return middle(rounds, "patterns", pattern, what)
                redis = at("redis_cpu_s_per_million")
                ratio = "" if mine is None or name == "weir" else f"{mine / at('cpu_s_per_million'):.2f} x"
                print(f"  {name:12} {at('per_s'):>13,.0f} {at('cpu_s_per_million'):>14.2f} {at('user_s_per_million'):>7.2f} {at('system_s_per_million'):>7.2f} "
                      f"{'' if redis is None else format(redis, '.2f'):>7} {at('rows_per_message'):>13.1f} {ratio:>9}")
        print(f"{sessions} sessions, memory after one delivery each")
        for name, rounds in servers.items():
            print(f"  {name:12} {middle(rounds, 'kib_per_session'):>7.2f} KiB a session, {middle(rounds, 'rss_mib'):.0f} MiB in all")
        print()
    return {"compare": every}


def stalled(folder: pathlib.Path, cluster: Cluster, args) -> dict:
    """The others' latency with and without sessions that never read, on one node; then how memory goes on."""
    server = Weir(folder / "stalled", cluster, args.partitions)
    load = None
    samples: list[tuple[float, float]] = []
    ended = threading.Event()

    def watch() -> None:
        began = time.monotonic()
        while not ended.wait(1):
            samples.append((round(time.monotonic() - began, 1), round(rss_kib(server.pid) / 1024, 1)))

    try:
        # So many rows fit into one page of state, which is all that the load reads of it.
        load = load_on(server, "--row-bytes", str(args.stalled_row_bytes), "--keys", "100", "--stalled-for", "40")
        sessions = args.sessions[0]
        load.ask("fill")  # or the table, and with it the state that a new session is sent, would grow all the time
        load.ask(f"connect {sessions - args.stalled}", 300)
        load.ask("publish")
        part = min(60, args.duration / 4)
        without = load.ask(f"rate {part:g} {args.rate:g}", part + 120)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        load.ask(f"stall {args.stalled}", 300)
        with_them = load.ask(f"rate {args.duration:g} {args.rate:g}", args.duration + 240)
        ended.set()
        watcher.join(5)
        lagging = server.node.metric("weir_sessions")
    finally:
        ended.set()
        if load:
            load.close()
        server.close()
    third = max(len(samples) // 3, 1)
    found = {"sessions": sessions, "stalled": args.stalled, "rate": args.rate, "row_bytes": args.stalled_row_bytes, "without": without, "with": with_them, "sessions_at_end": lagging, "rss_mib": samples}
    print(f"{sessions} sessions, {args.stalled} of them never read, {args.rate:g} rows of {args.stalled_row_bytes} bytes a second; from the row's making to a session's read, ms")
    for title, result in (("without them", without), ("with them", with_them)):
        ms = result["from_made_ms"]
        print(f"  {title:14} p50 {ms['p50']:.1f}  p99 {ms['p99']:.1f}  max {ms['max']:.1f}  left out {result['missing']}, wrong {result['wrong']}, lost {result['losses']}")
    print(f"  memory over {args.duration:g} s: {samples[0][1]:.0f} MiB at first, {statistics.median(m for _, m in samples[third:2 * third]):.0f} in the middle third, "
          f"{statistics.median(m for _, m in samples[2 * third:]):.0f} in the last, at most {max(m for _, m in samples):.0f}")
    return {"stalled": found}


def latency_of(name: str, sessions: int, folder: pathlib.Path, cluster: Cluster, args) -> dict:
    server = make_server(name, folder, cluster, args)
    load = None
    try:
        load = load_on(server, "--row-bytes", str(args.row_bytes), "--partitions", str(args.partitions), *([] if args.until == "read" else ["--arrivals"]))
        load.ask(f"connect {sessions}", 300)
        load.ask(f"rate 5 {args.rate:g}", 120)
        before = cpu(server.pid)
        result = load.ask(f"rate {args.duration:g} {args.rate:g}", args.duration + 120)
        result["cores"] = sum(spent(before, cpu(server.pid))) / result["seconds"]
        result["load_cores"] = result["load_cpu_s"] / result["seconds"]
    finally:
        if load:
            load.close()
        server.close()
    return {"server": name, "sessions": sessions, "rate": args.rate, **result}


def latency(folder: pathlib.Path, cluster: Cluster, args) -> dict:
    """From the commit in Redis to the clients; and how long the bare writer takes to write the same to as many, which nothing can be faster than."""
    found = []
    for sessions in args.sessions:
        for number in range(args.rounds):
            for name in ("writer", "weir"):
                result = latency_of(name, sessions, folder / f"latency-{name}-{sessions}-{number}", cluster, args)
                found.append(result)
                # The writer's rows come straight from the load.
                start = "made" if name == "writer" else "offset"
                ms = result[f"from_{start}_ms" if args.until == "read" else f"{start}_to_arrival_ms"]
                print(f"{sessions} sessions, {args.rate:g} rows a second, {args.duration:g} s, {name}, until {args.until}: p50 {ms['p50']:.2f}  p90 {ms['p90']:.2f}  p99 {ms['p99']:.2f}  max {ms['max']:.2f} ms"
                      + ("" if name == "writer" else f"; from the row's making p50 {result['from_made_ms']['p50']:.2f}  p99 {result['from_made_ms']['p99']:.2f} ms")
                      + f"; {result['cores'] * 100:.0f} % of a core, the load {result['load_cores'] * 100:.0f} %; left out {result['missing']}, in {result['messages']} messages of {result['deliveries']}", flush=True)
    return {"latency": found}


def storm(folder: pathlib.Path, cluster: Cluster, args) -> dict:
    """All clients of a killed node come back to the one that is started in its place."""
    server = Weir(folder / "storm", cluster, args.partitions)
    load = None
    rounds = []
    try:
        load = load_on(server, "--storms", "--keys", "100", "--partitions", str(args.partitions))
        load.ask("fill")
        load.ask(f"connect {args.sessions[0]}", 300)
        for _ in range(args.rounds):
            load.ask("publish")  # a position for everybody
            load.ask("brace")
            killed = time.monotonic()
            server.node.kill()
            answer: dict = {}
            asking = threading.Thread(target=lambda answer=answer: answer.update(load.ask("storm 120", 180)), daemon=True)
            asking.start()
            server.node.start()
            started = time.monotonic() - killed
            server.node.ready()
            ready = time.monotonic() - killed
            asking.join(200)
            answer |= {"start_s": started, "ready_s": ready}
            rounds.append(answer)
            back, live = (answer.get(name) or {"p50": 0, "p99": 0, "max": 0} for name in ("back_ms", "live_ms"))
            if answer.get("back") != args.sessions[0] or answer.get("backwards"):
                UNSOUND.append(f"storm: {answer.get('back')} of {args.sessions[0]} came back, {answer.get('backwards')} rows went back")
            print(f"{args.sessions[0]} clients of 100 rows: ready {ready:.1f} s after the kill; subscribed again after p50 {live['p50'] / 1000:.1f} s, p99 {live['p99'] / 1000:.1f} s, all {live['max'] / 1000:.1f} s; "
                  f"with every row that was sent after the kill (Kafka gives a killed member's partitions away after 6 s) p50 {back['p50'] / 1000:.1f} s, p99 {back['p99'] / 1000:.1f} s, "
                  f"all {back['max'] / 1000:.1f} s ({answer.get('back')} of {args.sessions[0]}); refused {answer.get('refused')}, told to wait or start over "
                  f"{answer.get('told_to_wait_or_start_over')}, rows that went back {answer.get('backwards')}", flush=True)
    finally:
        if load:
            load.close()
        server.close()
    whole = [r["back_ms"]["max"] for r in rounds if r.get("back") == args.sessions[0]]
    if whole:
        print(f"all back: median {statistics.median(whole) / 1000:.1f} s")
    return {"storm": rounds}


def weights(folder: pathlib.Path, cluster: Cluster, args) -> dict:
    return forms(lambda at: Weir(at, cluster, table=CHANNEL, compression=True), folder, cluster, args, settled_rss)


def machine() -> dict:
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    return {"cores": os.cpu_count(), "cpu": model, "kernel": os.uname().release, "load_before": os.getloadavg()[0], "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/fanout/run")
    parser.add_argument("--sessions", type=lambda text: [int(word) for word in text.split(",")], help="one or several numbers (1000,5000; --latency 1000; --stalled, --storm 10000)")
    parser.add_argument("--quick", action="store_true", help="does it work at all? 100 sessions, one round, one second of each pattern; figures mean nothing")
    parser.add_argument("--servers", type=lambda text: text.split(","), default=["weir", "writer", "kafka-writer", "socketify", "centrifuge"])
    parser.add_argument("--before", type=pathlib.Path, help="another build of weir, measured beside it")
    parser.add_argument("--patterns", type=lambda text: text.split(","), default=list(PATTERNS))
    parser.add_argument("--rounds", type=int, help="median of so many (3; --latency, --storm 1)")
    parser.add_argument("--seconds", type=float, help="of each pattern (8)")
    parser.add_argument("--row-bytes", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--stalled", type=int, nargs="?", const=1000, help="so many sessions never read")
    parser.add_argument("--stalled-row-bytes", type=int, default=2000)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--until", choices=["arrival", "read"], default="arrival", help="--latency: until the row is at a client's socket, while the load gives way to the server (arrival), or until the load has read it (read)")
    parser.add_argument("--storm", action="store_true")
    parser.add_argument("--forms", action="store_true", help="bytes of a delivery with short ids, deltas, permessage-deflate; memory of a session with the last")
    parser.add_argument("--rows", type=int, help="--forms: so many of each pattern (800)")
    parser.add_argument("--duration", type=float, help="seconds (--stalled 600, --latency 30)")
    parser.add_argument("--rate", type=float, help="rows a second (--stalled 5, --latency 100)")
    parser.add_argument("--json", type=pathlib.Path, help="all figures go to this file")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for logs, kept afterwards")
    args = parser.parse_args()
    mode = "stalled" if args.stalled else "latency" if args.latency else "storm" if args.storm else "forms" if args.forms else "compare"
    if args.before:
        args.servers = ["before", *args.servers]
    if args.sessions is None:
        args.sessions = [100] if args.quick else {"compare": [1000, 5000], "latency": [1000], "forms": [1000]}.get(mode, [10_000])
    if args.quick and mode == "stalled":
        args.stalled = min(args.stalled, args.sessions[0] // 10)
    args.rounds = args.rounds or (3 if mode == "compare" and not args.quick else 1)
    args.seconds = args.seconds or (1 if args.quick else 8)
    args.duration = args.duration or (5 if args.quick else 600 if mode == "stalled" else 30)
    args.rows = args.rows or (50 if args.quick else 800)
    args.rate = args.rate or (5 if mode == "stalled" else 100)
    folder = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="weir-fanout-"))
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    cluster = Cluster(folder / "kafka", "kraft", jit="full").start() if mode != "compare" or {"weir", "before", "kafka-writer"} & set(args.servers) else None
    try:
        found = {"machine": about, "arguments": {name: str(value) for name, value in vars(args).items()}, **{"compare": compare, "stalled": stalled, "latency": latency, "storm": storm, "forms": weights}[mode](folder, cluster, args)}
    finally:
        if cluster:
            cluster.stop()
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if UNSOUND:
        raise SystemExit("figures that are none: " + "; ".join(UNSOUND))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
