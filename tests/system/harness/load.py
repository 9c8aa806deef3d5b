"""Records as a fleet of machines would send them, with updates, tombstones and garbage, from a seed."""

import json
import random
import zlib
from typing import Iterator

from .kafka import Record

PARTITIONS = 8
START_MS = 1_700_000_000_000

# None of these is one valid JSON object, each in its own way.
GARBAGE = [
    b"", b" ", b"not json", b'{"a":1', b"[1,2,3]", b"42", b'"text"', b"null", b"true", b'{"a":1}{"b":2}', b'{"a":1} x', b"{'a':1}", b'{"a":NaN}', b'{"a":01}',
    b'{"a":1e400}', b'{"a":-1e400}', b'{"a":123456789012345678901234567890}', b'{"a":"\xc3\x28"}', b'\xff\xfe{"a":1}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\\ud800"}', b'{"a":"\x01"}',
    b'{"a":"\\x41"}', b'{"a":1,}', b'{,}', b'{"a"}', b'{"a":1 // note\n}', b'\xef\xbb\xbf[]', b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[" * 100_000, b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}",
]


def machine(number: int) -> str:
    return f"machine-{number:04d}" if number % 97 else f"Máquina {number}/ü☃𝄞"


def partition_of(key: bytes) -> int:
    return zlib.crc32(key) % PARTITIONS


def fleet(seed: int, count: int, keys: int, garbage: float = 0.01, tombstones: float = 0.03) -> Iterator[Record]:
    """Timestamps grow within a partition; several records share one, also over partitions."""
    rng = random.Random(seed)
    now = START_MS
    sequence = [0] * PARTITIONS
    for i in range(count):
        now += rng.randrange(3)
        number = int(keys * rng.random() ** 1.5)  # some machines send much more than others
        key = machine(number).encode()
        partition = partition_of(key)
        dice = rng.random()
        if dice < garbage:
            yield Record(key, rng.choice(GARBAGE), partition, now)
            continue
        if dice < garbage + tombstones:
            yield Record(key, None, partition, now)
            continue
        value = {
            "machine": machine(number), "site": f"site-{number * 7 % 61}", "cpu": round(rng.random() * 100, 2), "bytes": rng.randrange(1 << 40),
            "sensors": {"temp": rng.choice([None, "broken", rng.randrange(-20, 90), round(rng.random() * 50, 3)])}, "ts": now, "p": partition, "i": sequence[partition],
        }
        if rng.random() < 0.1:
            del value["sensors"]
        sequence[partition] += 1
        if rng.random() < 0.02:
            text = json.dumps(value, indent=1)  # with line breaks, which frames cannot carry
        else:
            text = json.dumps(value, ensure_ascii=rng.random() < 0.5, separators=(",", ":") if rng.random() < 0.5 else (", ", ": "))
        yield Record(key, text.encode(), partition, now)
