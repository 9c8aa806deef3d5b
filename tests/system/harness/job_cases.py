"""Random jobs, each written twice: as weir's topology has it, and as SQL for DuckDB. And the rows that they run over."""

import json
import math
import random
from collections import Counter
from dataclasses import dataclass, field

from .kafka import Record

HOUR_MS = 3_600_000
# column: SQL type. A field that a row does not have is NULL.
COLUMNS = {"site": "VARCHAR", "kind": "BIGINT", "flag": "BOOLEAN", "i": "BIGINT", "v": "DOUBLE", "w": "DOUBLE", "x": "DOUBLE", "m": "VARCHAR", "u": "VARCHAR",
           "ts": "BIGINT", "k": "VARCHAR", "part": "BIGINT", "off": "BIGINT", "kts": "BIGINT"}
SITES = ["north", "south", 'qu"ote', "back\\slash", "ümlaut", "a,b", "", "[1]", "7"]
NUMBERS = ["i", "v", "w", "kind"]


def records(rng: random.Random, now_ms: int, count: int, partitions: int) -> list[Record]:
    """Some within the last hour, the others long before it: none near the edge of the window while the test runs."""
    different = rng.choice([50, 1_000, 10_000])
    made = []
    for _ in range(count):
        ts = now_ms - (rng.randrange(600_000, 2_400_000) if rng.random() < 0.6 else rng.randrange(3 * HOUR_MS, 30 * HOUR_MS))
        row: dict = {"ts": ts, "w": round(math.exp(rng.uniform(-8, 8)), 6), "u": f"u{rng.randrange(different)}", "m": f"m{int(200 ** rng.random())}"}
        if rng.random() < 0.95:
            row["site"] = rng.choice(SITES)
        if rng.random() < 0.95:
            row["kind"] = rng.randrange(-2, 5)
        if rng.random() < 0.8:
            row["flag"] = rng.random() < 0.5
        if rng.random() < 0.9:
            row["i"] = rng.randrange(-100, 100)
        if rng.random() < 0.9:
            row["v"] = rng.choice([rng.randrange(-50, 50), round(rng.uniform(-1000, 1000), 2), None])
        if rng.random() < 0.9:
            row["x"] = rng.choice([rng.randrange(-50, 50), round(rng.uniform(-1000, 1000), 2), None, "7", True, [1], {"y": 1}])
        key = f"k{rng.randrange(count // 3)}"
        made.append(Record(key.encode(), json.dumps(row, ensure_ascii=False).encode(), sum(key.encode()) % partitions, ts + rng.randrange(1000)))
    return made


def as_row(record: Record) -> dict:
    """For DuckDB: what a job takes for a value of that column's type."""
    assert record.value is not None and record.key is not None
    row = json.loads(record.value)
    if isinstance(row.get("x"), (bool, str, list, dict)):  # no number
        row["x"] = None
    return {**row, "k": record.key.decode(), "part": record.partition, "off": record.offset, "kts": record.time_ms}


def literal(value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else repr(value)


class Expression:
    """The same expression in both languages."""

    def __init__(self, weir: str, sql: str):
        self.weir, self.sql = weir, sql


def arithmetic(rng: random.Random, depth: int, names: list[str]) -> Expression:
    if depth == 0 or rng.random() < 0.2:
        if rng.random() < 0.4:
            number = rng.choice([0, 1, 2, 3, 7, 0.5, 10.25])
            return Expression(str(number), f"{number}::{'DOUBLE' if isinstance(number, float) else 'BIGINT'}")
        name = rng.choice(names)
        return Expression("/" + name, f'"{name}"')
    a, b = arithmetic(rng, depth - 1, names), arithmetic(rng, depth - 1, names)
    match rng.randrange(6):
        case 0 | 1 | 2:
            sign = rng.choice("+-*")
            return Expression(f"({a.weir} {sign} {b.weir})", f"({a.sql} {sign} {b.sql})")
        case 3:
            return Expression(f"({a.weir} / {b.weir})", f"({a.sql}::DOUBLE / nullif({b.sql}, 0))")
        case 4:
            return Expression(f"coalesce({a.weir}, {b.weir})", f"coalesce({a.sql}, {b.sql})")
        case _:
            return Expression(f"-{a.weir}", f"(0 - {a.sql})")


def derived(rng: random.Random, log: bool) -> dict[str, Expression]:
    """d: a number; whole: a small integer; minute: a time; text."""
    out = {"d": arithmetic(rng, 3, ["i", "v", "w", "kind"])}
    out["d2"] = Expression("/d + 1", f"({out['d'].sql} + 1)")
    out["whole"] = rng.choice([
        Expression("/i % 4", '("i" % 4)'),
        Expression("floor(/w / 100)", 'floor("w" / 100)::BIGINT'),
        Expression("round(/v / 200)", 'round("v" / 200)::BIGINT'),
        Expression("abs(ceil(/v / 300))", 'abs(ceil("v" / 300)::BIGINT)'),
    ])
    width, ms = rng.choice([("5m", 300_000), ("1h", HOUR_MS), ("1d", 24 * HOUR_MS)])
    moment = rng.choice(["/ts", "time()"])
    column = "ts" if log or moment == "/ts" else "kts"
    out["minute"] = Expression(f"bucket({moment}, '{width}')", f'("{column}" // {ms} * {ms})')
    out["text"] = rng.choice([
        Expression("concat(/site, '-', /kind)", "(\"site\" || '-' || \"kind\")"),
        Expression("concat('it''s ', coalesce(/site, /k, 'none'), /flag)", "('it''s ' || coalesce(\"site\", 'none') || (CASE WHEN \"flag\" THEN 'true' WHEN NOT \"flag\" THEN 'false' END))"),
    ])
    return out


def test_of(rng: random.Random, names: list[str]) -> tuple[dict, str]:
    """One member of `where`. weir: what is missing or of another type equals nothing, and has no order."""
    match rng.randrange(7):
        case 0 | 1 | 2:
            name = rng.choice(names)
            operator, sign = rng.choice([("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")])
            bound = rng.choice([-10, 0, 0.5, 3, 40])
            return {f"/{name}": {operator: bound}}, f'coalesce("{name}" {sign} {bound}, false)'
        case 3:
            site = rng.choice(SITES)
            return {"/site": site}, f'coalesce("site" = {literal(site)}, false)'
        case 4:
            site = rng.choice(SITES)
            return {"/site": {"ne": site}}, f'("site" IS NULL OR "site" <> {literal(site)})'
        case 5:
            kinds = rng.sample(range(-2, 5), 3)
            return {"/kind": {"in": kinds}}, f'coalesce("kind" IN ({", ".join(map(str, kinds))}), false)'
        case _:
            there = rng.random() < 0.5
            return {"/flag": {"exists": there}}, f'("flag" IS {"NOT " if there else ""}NULL)'


def where(rng: random.Random, names: list[str]) -> tuple[dict, str]:
    made, sql = {}, []
    for _ in range(rng.randrange(1, 3)):
        test, condition = test_of(rng, names)
        if not made.keys() & test.keys():
            made.update(test)
            sql.append(condition)
    if rng.random() < 0.3:
        either = [test_of(rng, names) for _ in range(2)]
        made["any"] = [test for test, _ in either]
        sql.append("(" + " OR ".join(condition for _, condition in either) + ")")
    return made, " AND ".join(sql)


@dataclass
class Field:
    weir: object  # as in the topology
    sql: list[str]  # what is asked for
    judge: object  # judge(shown, *answers): None, or what is wrong


def same(shown, wanted):
    return None if shown == wanted and isinstance(shown, bool) == isinstance(wanted, bool) else f"{shown} is not {wanted}"


def near(shown, wanted, magnitude):
    """magnitude: of what was added up; the order of adding shows in the last digits of it."""
    if shown is None or wanted is None:
        return same(shown, wanted)
    return None if abs(shown - wanted) <= 1e-11 * magnitude + 1e-9 else f"{shown} is not near {wanted}"


def variance(shown, wanted, squares):
    """squares: the mean of the squares of the values."""
    if shown is None or wanted is None:
        return same(shown, wanted)
    return None if abs(shown - wanted) <= 1e-9 * squares + 1e-12 else f"{shown} is not near {wanted}"


def deviation(shown, wanted, squares):
    return same(shown, wanted) if shown is None or wanted is None else variance(shown**2, wanted**2, squares)


def percentile(share: float):
    def judge(shown, values):
        if not values:
            return same(shown, None)
        exact = values[share * (len(values) - 1) // 10**8]
        if abs(exact) * 5e17 < max(abs(values[0]), abs(values[-1])):
            return None  # more apart than the stated factor
        return None if abs(shown - exact) <= 0.01 * (1 + 1e-9) * abs(exact) else f"{shown} is not within 1 % of {exact}"

    return judge


def distinct(shown, exact):
    if exact <= 2048:
        return same(shown, exact)
    return None if abs(shown / exact - 1) <= 6 * 0.0081 else f"{shown} is not within six standard errors of {exact}"


def top(n: int):
    def judge(shown, values):
        counts = Counter(values or [])
        if len(counts) <= 2000:
            order = sorted(counts.items(), key=lambda pair: (-pair[1], json.dumps(pair[0], ensure_ascii=False).encode()))[:n]
            return same(shown, [{"value": value, "count": count} for value, count in order])
        for entry in shown:
            if not entry["count"] <= counts[entry["value"]] <= entry["count"] + entry.get("error", 0):
                return f"{entry} is wrong: it came {counts[entry['value']]} times"
        return None

    return judge


def rate(shown, total, seconds, magnitude):
    if not seconds or total is None:
        return same(shown, None)
    return near(shown, total / float(seconds), (magnitude or 0) / float(seconds))


def fields(rng: random.Random, names: list[str], order: str, seconds: str) -> dict[str, Field]:
    """`order`: the columns of event time, partition and position. `seconds`: what a rate is taken over, of all rows that count."""
    out = {"n": Field("count", ["count(*)"], same)}
    for number in range(rng.randrange(2, 7)):
        name = rng.choice(names)
        column, there = f'"{name}"', f'FILTER ("{name}" IS NOT NULL)'
        magnitude, squares = f"sum(abs({column}))", f"avg(({column})::DOUBLE * ({column})::DOUBLE)"
        p = rng.choice([50, 90, 95, 99, 99.9, 12.345, 1])
        made = rng.choice([
            Field({"sum": f"/{name}"}, [f"sum({column})", magnitude], near),
            Field({"avg": f"/{name}"}, [f"avg({column}::DOUBLE)", f"avg(abs({column}))"], near),
            Field({"min": f"/{name}"}, [f"min({column})"], same),
            Field({"max": f"/{name}"}, [f"max({column})"], same),
            Field({"first": f"/{name}"}, [f"first({column} ORDER BY {order}) {there}"], same),
            Field({"last": f"/{name}"}, [f"last({column} ORDER BY {order}) {there}"], same),
            Field({"var": f"/{name}"}, [f"var_samp({column}::DOUBLE)", squares], variance),
            Field({"stddev": f"/{name}"}, [f"stddev_samp({column}::DOUBLE)", squares], deviation),
            Field("rate", ["count(*)", seconds, "count(*)"], rate),
            Field({"rate": f"/{name}"}, [f"sum({column})", seconds, magnitude], rate),
            Field({f"p{p}": f"/{name}"}, [f"list({column} ORDER BY {column}) {there}"], percentile(round(p * 10**6))),
            Field({f"p{p}": f"/{name}"}, [f"list({column} ORDER BY {column}) {there}"], percentile(round(p * 10**6))),
            Field({"distinct": "/u"}, ['count(DISTINCT "u")'], distinct),
            Field({"distinct": "/kind"}, ['count(DISTINCT "kind")'], distinct),
            Field({"top": "/m"}, ['list("m")'], top(10)),
            Field({"top3": "/u"}, ['list("u")'], top(3)),
            Field({"top5": "/kind"}, ['list("kind") FILTER ("kind" IS NOT NULL)'], top(5)),
        ])
        out[f"f{number}"] = made
    return out


@dataclass
class Case:
    weir: dict  # the job, but for what it writes
    sql: str
    groups: int  # columns of the key at the front of each answer
    fields: dict[str, Field] = field(default_factory=dict)


def case(rng: random.Random, table: str, now_ms: int) -> Case:
    log = table == "history"
    last = log and rng.random() < 0.4
    job: dict = {"on": "demand", "read": {"table": table, **({"last": "1h"} if last else {})}}
    extra = derived(rng, log) if rng.random() < 0.6 else {}
    numbers = NUMBERS + [name for name in ("d", "d2", "whole") if extra]
    groups = rng.sample(["site", "kind", "flag"] + (["whole", "minute", "text"] if extra else []), rng.choice([0, 1, 1, 1, 2, 2, 3]))
    order = '"ts", "part", "off"' if log else '"kts", "part", "off"'
    time = "ts" if log else "kts"
    conditions = [f'"{name}" IS NOT NULL' for name in groups]
    if last:
        conditions.append(f'"ts" >= {now_ms - HOUR_MS}')
    if rng.random() < 0.6:
        job["where"], condition = where(rng, numbers)
        conditions.append(condition)
    seconds = "3600" if last else f'(SELECT (max("{time}") - min("{time}")) / 1000 FROM counted)'
    made = fields(rng, [*numbers, "x"], order, seconds)
    if extra:
        job["derive"] = {name: expression.weir for name, expression in extra.items()}
    if groups:
        job["group_by"] = [f"/{name}" for name in groups] if len(groups) > 1 or rng.random() < 0.5 else f"/{groups[0]}"
    job["fields"] = {name: f.weir for name, f in made.items()}
    columns = "".join(f', {expression.sql} AS "{name}"' for name, expression in extra.items())
    asked = [f'"{name}"' for name in groups] + [sql for f in made.values() for sql in f.sql]
    sql = (f"WITH derived AS (SELECT *{columns} FROM {table}), counted AS (SELECT * FROM derived{' WHERE ' + ' AND '.join(conditions) if conditions else ''}) "
           f"SELECT {', '.join(asked)} FROM counted{' GROUP BY ' + ', '.join(asked[:len(groups)]) if groups else ''}")
    return Case(job, sql, len(groups), made)
