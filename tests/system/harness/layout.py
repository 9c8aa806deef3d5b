"""Reads tables out of Redis as docs/redis-layout.md describes them, with nothing but a Redis client."""

import json
import re
from dataclasses import dataclass

import redis


@dataclass
class Row:
    partition: int
    time_ms: int
    offset: int
    value: str


class Layout:
    def __init__(self, client: redis.Redis, topology: str, source: str):
        self.client, self.topology, self.source = client, topology, source

    def partitions(self) -> list[int]:
        pattern = re.compile(rf"^\{{{re.escape(self.topology)}:{re.escape(self.source)}:(\d+)\}}$")
        found = [pattern.match(key.decode()) for key in self.client.scan_iter(f"{{{self.topology}:{self.source}:*}}", count=1000)]
        return sorted(int(match.group(1)) for match in found if match)

    def head(self, partition: int) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.client.hgetall(f"{{{self.topology}:{self.source}:{partition}}}").items()}

    def positions(self, table: str) -> dict[int, int]:
        """Offset after the last applied record, by partition."""
        return {p: int(head[f"next:{table}@1"]) for p in self.partitions() if f"next:{table}@1" in (head := self.head(p))}

    def rows(self, table: str) -> dict[str, list[Row]]:
        """The parts of each row, by partition."""
        rows: dict[str, list[Row]] = {}
        for partition in self.partitions():
            prefix = f"{{{self.topology}:{self.source}:{partition}}}:t:{table}@1:"
            for bucket in self.client.scan_iter(prefix + "*", count=1000):
                for key, stored in self.client.hgetall(bucket).items():
                    time_ms, offset, value = stored.decode().split(" ", 2)
                    rows.setdefault(key.decode(), []).append(Row(partition, int(time_ms), int(offset), value))
        return rows

    def latest(self, table: str) -> dict[str, dict]:
        return {key: json.loads(max(parts, key=lambda part: (part.time_ms, part.partition, part.offset)).value) for key, parts in self.rows(table).items()}

    def log(self, table: str) -> dict[int, list[tuple[int, dict]]]:
        """(offset, record) by partition, oldest first."""
        entries: dict[int, list[tuple[int, dict]]] = {}
        for partition in self.partitions():
            for _, fields in self.client.xrange(f"{{{self.topology}:{self.source}:{partition}}}:l:{table}@1"):
                for line in fields[b"d"].decode().split("\n"):
                    _, offset, value = line.split(" ", 2)
                    entries.setdefault(partition, []).append((int(offset), json.loads(value)))
        return entries
