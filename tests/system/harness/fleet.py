"""The topology that most tests run: one source, tables of all kinds over it."""

import threading
import time

from . import load, oracle
from .kafka import Cluster, Record
from .waiting import poll_pause, wait_for

TOTALS = {
    "n": "count", "bytes": {"sum": "/bytes"}, "cpu_sum": {"sum": "/cpu"}, "cpu_avg": {"avg": "/cpu"}, "cpu_min": {"min": "/cpu"}, "cpu_max": {"max": "/cpu"},
    "temp_avg": {"avg": "/sensors/temp"}, "temp_max": {"max": "/sensors/temp"}, "first": {"first": "/bytes"}, "last": {"last": "/bytes"},
}
SELECT = {"machine": "/machine", "cpu": "/cpu", "temp": "/sensors/temp"}


def hot(value: dict) -> bool:
    return value["cpu"] >= 96


def topology(kafka: str, redis_url: str, topic: str, dead: str | None = None, **more) -> dict:
    return {
        "topology": "fleet",
        "kafka": {"brokers": kafka, "group": f"group-{topic}"},
        "redis": {"url": redis_url},
        "sources": {"readings": {"topic": topic, "format": "json", **({"dead_letter": dead} if dead else {})}},
        "tables": {
            "machines": {"from": "readings", "kind": "latest"},
            "sites": {"from": "readings", "kind": "latest", "key": "/site", "select": dict(SELECT), "where": {"/cpu": {"lt": 50}}},
            "totals": {"from": "readings", "kind": "aggregate", "key": "/site", "fields": dict(TOTALS)},
            "hot": {"from": "readings", "kind": "log", "time": "/ts", "where": {"/cpu": {"gte": 96}}, "keep": {"count": 1_000_000}},
        },
        **more,
    }


class Expected:
    """All tables of the topology above, folded from what was sent."""

    def __init__(self, records: list[Record]):
        self.machines = oracle.latest(records)
        self.sites = oracle.latest(records, "/site", SELECT, lambda value: value["cpu"] < 50)
        self.totals = oracle.aggregate(records, "/site", TOTALS)
        self.hot = oracle.log(records, hot)
        self.dead = oracle.dead(records)


class Sender(threading.Thread):
    """Sends the records at a pace, so that a test has time to break something in the middle."""

    def __init__(self, cluster: Cluster, topic: str, records: list[Record], per_second: int):
        super().__init__(daemon=True)
        self.cluster, self.topic, self.records, self.per_second = cluster, topic, records, per_second
        self.sent = 0
        self.trouble: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            began, step = time.monotonic(), max(self.per_second // 5, 1)
            while self.sent < len(self.records):
                if self.sent > (time.monotonic() - began) * self.per_second:
                    time.sleep(poll_pause)  # the pace
                    continue
                self.cluster.produce(self.topic, self.records[self.sent : self.sent + step])
                self.sent += min(step, len(self.records) - self.sent)
        except BaseException as trouble:  # for the test's thread to raise
            self.trouble = trouble

    def wait_sent(self, count: int, seconds: float = 120) -> None:
        def reached() -> bool:
            if self.trouble:
                raise self.trouble
            return self.sent >= count

        wait_for(reached, seconds, lambda: f"{count} records to be sent, {self.sent} were")

    def finish(self) -> None:
        self.wait_sent(len(self.records))


def by_partition(entries: list[dict]) -> dict[int, list[dict]]:
    found: dict[int, list[dict]] = {}
    for entry in entries:
        found.setdefault(entry["p"], []).append(entry)
    return found


def differences(found: dict, wanted: dict, most: int = 3) -> str:
    """Empty where both are equal; else a few lines that a person can read."""
    lines = []
    for title, keys in (("missing", wanted.keys() - found.keys()), ("too many", found.keys() - wanted.keys()), ("other", {k for k in wanted.keys() & found.keys() if wanted[k] != found[k]})):
        if keys:
            lines.append(f"{title}: {len(keys)} of {len(wanted)}")
            lines += [f"  {key!r}: found {str(found.get(key))[:400]}, wanted {str(wanted.get(key))[:400]}" for key in sorted(keys)[:most]]
    return "\n".join(lines)


__all__ = ["Expected", "Sender", "SELECT", "TOTALS", "by_partition", "differences", "hot", "load", "topology"]
