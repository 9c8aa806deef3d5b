"""What the tables have to be: a plain fold of the records, written without a look at weir's."""

import json
import math
from dataclasses import dataclass
from typing import Callable, Iterable

from .kafka import Record


def read(record: Record) -> dict | None:
    """The record as weir has to see it; None for what has to become a dead letter. Tombstones are not for here."""
    if record.parsed is None:
        record.parsed = (_read(record),)
    return record.parsed[0]


def _read(record: Record) -> dict | None:
    assert record.value is not None
    try:
        text = record.value.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or text[:1] == "\ufeff" or not _bounded(value):
        return None
    return value


def _refuse(_: str):
    raise ValueError("no JSON number")


DEPTH = 1024  # objects and arrays within each other; what is deeper is refused


def _bounded(value) -> bool:
    """Level by level: some Pythons parse deeper than they call."""
    level = [value]
    for _ in range(DEPTH + 1):
        inner: list = []
        for part in level:
            if isinstance(part, dict):
                inner += part.keys()
                inner += part.values()
            elif isinstance(part, list):
                inner += part
            elif isinstance(part, str):
                if any(0xD800 <= ord(c) <= 0xDFFF for c in part):
                    return False
            elif isinstance(part, float):
                if not math.isfinite(part):
                    return False
            elif isinstance(part, int) and not -(2**63) <= part < 2**64:  # a boolean is one, and fits
                return False
        if not inner:
            return True
        level = inner
    return False


def at(value, pointer: str):
    """RFC 6901; None where nothing is there."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def number_at(value, pointer: str):
    found = at(value, pointer)
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def in_log_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.partition, record.offset))


@dataclass
class Part:
    stamp: tuple[int, int, int]
    value: object


def always(_: dict) -> bool:
    return True


def latest(records: Iterable[Record], key: str | None = None, select: dict[str, str] | None = None, where: Callable[[dict], bool] = always) -> dict[str, dict]:
    """Within a partition the later record counts, between partitions the greatest (timestamp, partition, offset)."""
    parts: dict[str, dict[int, Part]] = {}
    for record in in_log_order(records):
        if record.value is None:
            if key is None and record.key is not None:
                parts.get(record.key.decode(), {}).pop(record.partition, None)
            continue
        value = read(record)
        if value is None or not where(value):
            continue
        row = key_of(value, key) if key else (record.key.decode() if record.key is not None else None)
        if row is None:
            continue
        shown = {name: found for name, pointer in select.items() if (found := _selected(value, pointer)) is not _ABSENT} if select else value
        parts.setdefault(row, {})[record.partition] = Part((record.time_ms, record.partition, record.offset), shown)
    return {row: max(own.values(), key=lambda part: part.stamp).value for row, own in parts.items() if own}


_ABSENT = object()


def _selected(value, pointer: str):
    found = at(value, pointer)
    if found is None:
        parent, _, last = pointer.rpartition("/")
        holder = at(value, parent) if parent else value
        if not (isinstance(holder, dict) and last in holder):
            return _ABSENT
    return found


def key_of(value: dict, pointer: str) -> str | None:
    found = at(value, pointer)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, (str, int, float)):
        return str(found)
    return None


class Aggregate:
    """One key's state in one partition."""

    def __init__(self, fields: dict):
        self.fields = fields
        self.values: dict[str, list[tuple[tuple, object]]] = {name: [] for name, what in fields.items() if what != "count"}
        self.count = 0

    def add(self, value: dict, stamp: tuple) -> None:
        self.count += 1
        for name, what in self.fields.items():
            if what == "count":
                continue
            ((_, pointer),) = what.items()
            found = number_at(value, pointer)
            if found is not None:
                self.values[name].append((stamp, found))


def aggregate(records: Iterable[Record], key: str, fields: dict, where: Callable[[dict], bool] = always) -> dict[str, dict]:
    """`fields` as in the topology. Sums go partition by partition, each in log order."""
    states: dict[str, dict[int, Aggregate]] = {}
    for record in in_log_order(records):
        value = read(record) if record.value is not None else None
        if value is None or not where(value):
            continue
        row = key_of(value, key)
        if row is None:
            continue
        states.setdefault(row, {}).setdefault(record.partition, Aggregate(fields)).add(value, (record.time_ms, record.partition, record.offset))
    return {row: _merged(fields, own) for row, own in states.items()}


def _merged(fields: dict, own: dict[int, Aggregate]) -> dict:
    row = {}
    for name, what in fields.items():
        if what == "count":
            row[name] = sum(state.count for state in own.values())
            continue
        ((function, _),) = what.items()
        by_partition = [own[p].values[name] for p in sorted(own)]
        everything = [pair for values in by_partition for pair in values]
        if not everything:
            row[name] = None
        elif function == "first":
            # within a partition the log's order counts, between partitions the stamp
            row[name] = min((values[0] for values in by_partition if values), key=lambda pair: pair[0])[1]
        elif function == "last":
            row[name] = max((values[-1] for values in by_partition if values), key=lambda pair: pair[0])[1]
        elif function in ("min", "max"):
            row[name] = (min if function == "min" else max)(number for _, number in everything)
        else:
            total = _total([[number for _, number in values] for values in by_partition])
            row[name] = total if function == "sum" else float(total) / len(everything)
    return row


def _total(by_partition: list[list]):
    """Exact while only integers were seen; doubles in log order, one partition's total after the other's."""
    totals = []
    for numbers in by_partition:
        total = 0
        for number in numbers:
            total = total + number
        if numbers:
            totals.append(total)
    result = totals[0]
    for total in totals[1:]:
        result = result + total
    return result


def log(records: Iterable[Record], where: Callable[[dict], bool] = always) -> dict[int, list[dict]]:
    """By partition, in order of offsets."""
    entries: dict[int, list[dict]] = {}
    for record in in_log_order(records):
        value = read(record) if record.value is not None else None
        if value is not None and where(value):
            entries.setdefault(record.partition, []).append(value)
    return entries


def dead(records: Iterable[Record]) -> dict[tuple[int, int], Record]:
    """What has to be in the dead letter topic, by partition and offset, where every table finds its key in every readable record."""
    return {(record.partition, record.offset): record for record in records if record.value is not None and read(record) is None}
