"""What a delivery weighs in each form that a client may ask for, and what a session with permessage-deflate costs. See README.md."""

import argparse
import json
import os
import pathlib
import random
import statistics
import threading
import time
import zlib

from harness.kafka import Cluster, Record
from harness.raw import RawWebSocket

KEYS = 50
BURST = 16
WAIT = 30  # seconds for a row to reach everybody

# name, permessage-deflate, short channel ids, Fossil deltas
FORMS = [
    ("as it is", False, False, False),
    ("short ids", False, True, False),
    ("deltas", False, False, True),
    ("short ids, deltas", False, True, True),
    ("deflate", True, False, False),
    ("deflate, short ids", True, True, False),
    ("deflate, short ids, deltas", True, True, True),
]
CHANNEL = "machine-readings"
PLAIN, DEFLATED = FORMS[0], FORMS[4]


def rows(seed: int, count: int):
    """Readings of machines: a third of each row is new each time, as in most tables."""
    rng = random.Random(seed)
    load = [rng.random() * 100 for _ in range(KEYS)]
    for number in range(count):
        key = rng.randrange(KEYS)
        load[key] = min(100.0, max(0.0, load[key] + rng.uniform(-3, 3)))
        yield f"rack-{key // 8:02}/node-{key:03}", {
            "n": number, "site": ("north", "south", "harbour")[key % 3], "model": "R7525-2U-64C", "status": "running" if rng.random() < 0.98 else "degraded",
            "cpu": round(load[key], 2), "memory": round(40 + load[key] / 3, 1), "temperature": round(35 + load[key] / 4, 1), "fan_rpm": 4200 + 10 * (key % 7),
            "uptime_s": 1_000_000 + number, "firmware": "2.14.1-rc3",
        }


def patch(old: bytes, delta: bytes) -> bytes:
    """Fossil's delta format: fossil-scm.org/home/doc/tip/www/delta_format.wiki"""
    digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
    at = 0

    def number() -> int:
        nonlocal at
        value = 0
        while (digit := digits.find(delta[at:at + 1])) >= 0 and at < len(delta):
            value, at = value * 64 + digit, at + 1
        return value

    size, out = number(), b""
    at += 1
    while True:
        count, what = number(), delta[at:at + 1]
        at += 1
        if what == b"@":
            start = number()
            at += 1
            out += old[start:start + count]
        elif what == b":":
            out, at = out + delta[at:at + count], at + count
        else:
            assert what == b";" and len(out) == size, f"not a delta: {delta!r}"
            return out


class Client(RawWebSocket):
    """One subscriber in one form; counts the bytes of the WebSocket frames that bring rows, and keeps the rows."""

    def __init__(self, port: int, form: tuple[str, bool, bool, bool], source: str = "127.0.0.1"):
        self.name, deflate, short, delta = form
        super().__init__(port, source=source, headers=("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",) if deflate else ())
        assert self.upgraded == 101 and (b"permessage-deflate" in self.head) == deflate, self.head
        wish = {"channel": CHANNEL, "type": 1, "phase": 2} | ({"flag": 1} if short else {}) | ({"delta": "fossil"} if delta else {})
        self.say({"id": 1, "connect": {}}, {"id": 2, "subscribe": wish})
        self.bytes = self.messages = self.compressed = self.newest = 0
        self.rows: dict[str, bytes] = {}
        self.live = False
        while not self.live:
            self.take()

    def take(self) -> None:
        frame = self.read_whole_frame()
        assert frame, f"{self.name}: the connection ended"
        first, payload, size = frame
        assert first & 15 == 1, f"{self.name}: a frame of kind {first & 15}: {payload!r}"
        compressed = bool(first & 0x40)
        if compressed:
            payload = zlib.decompress(payload + b"\x00\x00\xff\xff\x03\x00", -15)
        pushed = False
        for line in payload.split(b"\n"):
            said = json.loads(line)
            if not said:
                self.frame(b"{}")
            elif "push" in said:
                pushed = True
                self.push(said["push"]["pub"])
            else:
                assert "error" not in said, said
                self.live |= "subscribe" in said
        if pushed:
            self.bytes += size
            self.messages += 1
            self.compressed += compressed

    def push(self, pub: dict) -> None:
        data, key = pub["data"], pub["key"]
        if isinstance(data, str):
            data = patch(self.rows[key], data.encode()) if pub.get("delta") else data.encode()
            self.rows[key] = data
            data = json.loads(data)
        else:
            self.rows[key] = json.dumps(data).encode()
        self.newest = max(self.newest, data["n"] + 1)


def weigh(port: int, cluster: Cluster, topic: str, count: int) -> list[dict]:
    """All forms get the same rows, first one at a time, then in bursts."""
    clients = [Client(port, form) for form in FORMS]
    failures: list[str] = []

    def read(client: Client, last: tuple[str, dict]) -> None:
        try:
            client.socket.settimeout(WAIT)
            while json.loads(client.rows.get(last[0], "null")) != last[1]:
                client.take()
        except (AssertionError, OSError) as problem:
            failures.append(f"{client.name}: {problem}")

    wanted: dict[str, dict] = {}
    found: list[dict] = [{"form": client.name} for client in clients]
    # A row of each key before: else the first are what nobody has had yet.
    warm = [(f"rack-{key // 8:02}/node-{key:03}", {"n": -1}) for key in range(KEYS)]
    sent = [*warm, *rows(7, 2 * count)]
    position = 0
    for pattern, size, until in (("warm", len(warm), len(warm)), ("one", 1, len(warm) + count), ("burst", BURST, len(sent))):
        for client in clients:
            client.bytes = client.messages = client.compressed = 0
        before = position
        while position < until:
            part = sent[position:min(position + size, until)]
            position += len(part)
            wanted.update(part)
            cluster.produce(topic, [Record(key.encode(), json.dumps(value, separators=(",", ":")).encode(), 0, int(time.time() * 1000)) for key, value in part])
            readers = [threading.Thread(target=read, args=(client, part[-1])) for client in clients]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            if failures:
                raise SystemExit("figures that are none: " + "; ".join(failures))
        for result, client in zip(found, clients):
            result[pattern] = {"bytes": client.bytes / (position - before), "messages": client.messages / (position - before), "compressed": client.compressed / max(client.messages, 1)}
    for client in clients:
        if {key: json.loads(value) for key, value in client.rows.items()} != wanted:
            raise SystemExit(f"figures that are none: {client.name} ended with other rows than were sent")
        client.close()
    return found


def session_kib(server, cluster: Cluster, form: tuple, sessions: int, settled_rss) -> float:
    """What the process grows by for a session that was sent one row, KiB."""
    row = lambda number: [Record(b"one", json.dumps({"n": number, "text": "weir " * 40}).encode(), 0, int(time.time() * 1000))]
    held: list[Client] = []

    def grow(count: int, number: int) -> int:
        while len(held) < count:
            held.append(Client(server.port, form, source=f"127.1.0.{1 + len(held) // 200}"))
        cluster.produce(server.topic, row(number))
        for client in held:
            while client.newest <= number:
                client.take()
        return settled_rss(server.pid)

    few = grow(16, 0)
    many = grow(sessions, 1)
    for client in held:
        client.close()
    return (many - few) / (sessions - 16)


def forms(make_node, folder: pathlib.Path, cluster: Cluster, args: argparse.Namespace, settled_rss) -> dict:
    server = make_node(folder / "forms")
    try:
        found = weigh(server.port, cluster, server.topic, args.rows)
    finally:
        server.close()
    size = statistics.mean(len(json.dumps(value, separators=(",", ":"))) for _, value in rows(7, args.rows))
    print(f"bytes of a delivery with all of its WebSocket frame; rows of {size:.0f} bytes, {args.rows} rows each")
    print(f"  {'form':28} one at a time   bursts of {BURST}")
    for result in found:
        print(f"  {result['form']:28} {result['one']['bytes']:13.0f} {result['burst']['bytes']:14.0f}")
    memory = {}
    for name, form in (("without", PLAIN), ("with permessage-deflate", DEFLATED)):
        server = make_node(folder / f"memory-{form[0].replace(' ', '-')}")
        try:
            memory[name] = session_kib(server, cluster, form, args.sessions[0], settled_rss)
        finally:
            server.close()
        print(f"memory of an idle session {name}: {memory[name]:.2f} KiB ({args.sessions[0]} sessions, after one row each)", flush=True)
    return {"forms": found, "kib_per_session": memory}
