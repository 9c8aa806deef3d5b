"""Random jobs over random rows beside DuckDB: what weir's jobs write equals what SQL says of the same rows; sketches within their stated error."""

import json
import random
import re
import time

import confluent_kafka
import duckdb
import pytest
from harness import oracle
from harness.job_cases import COLUMNS, Case, as_row, case, records
from harness.kafka import QUIET, Record, produce
from harness.waiting import wait_for

TOPOLOGIES, JOBS, PARTITIONS = 25, 20, 4  # the embedded broker's partitions


def topology(cases: list[Case]) -> dict:
    return {
        "topology": "differential",
        "sources": {"rows": {"topic": "rows"}},
        "tables": {
            "history": {"from": "rows", "kind": "log", "time": "/ts", "keep": {"count": 1_000_000}},
            "newest": {"from": "rows", "kind": "latest", "expected_rows": 1000},
            **{f"out{i}": {"from": f"job:j{i}", "kind": "latest", "expected_rows": 1000} for i in range(len(cases))},
        },
        "jobs": {f"j{i}": {**one.weir, "write": {"table": f"out{i}"}} for i, one in enumerate(cases)},
    }


def fill(node, made: list[Record]) -> None:
    """Into the node's own broker; returns when both tables have all of it."""
    broker = re.search(r"127\.0\.0\.1:(?!%d\b)\d+" % node.port, next(line for line in node.log().splitlines() if "Kafka is embedded" in line))
    assert broker, node.tail()
    produce(confluent_kafka.Producer({"bootstrap.servers": broker[0], "linger.ms": 5, **QUIET}), "rows", made)
    newest = oracle.latest(made)
    wait_for(lambda: len(node.entries("history")) == len(made) and node.rows("newest") == newest, 60, "the tables to be filled")


def database(made: list[Record], folder) -> duckdb.DuckDBPyConnection:
    file = folder / "rows.json"
    with file.open("w", encoding="utf-8") as out:
        for record in made:
            out.write(json.dumps(as_row(record), ensure_ascii=False) + "\n")
    sql = duckdb.connect()
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    sql.execute(f"CREATE TABLE history AS SELECT * FROM read_json('{file}', format = 'newline_delimited', columns = {{{columns}}})")
    # A record key is in one partition: the greatest offset is the newest.
    sql.execute('CREATE TABLE newest AS SELECT * FROM history QUALIFY row_number() OVER (PARTITION BY "k" ORDER BY "off" DESC) = 1')
    return sql


def key_text(values: tuple) -> str:
    """As docs/topology.md says: alone as it is, several as a JSON array of strings; without groups "all"."""
    parts = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    if not parts:
        return "all"
    return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def differences(one: Case, shown: dict[str, dict], answers: list[tuple]) -> list[str]:
    wanted = {key_text(answer[: one.groups]): answer[one.groups :] for answer in answers}
    found = [f"no row {key!r}" for key in wanted.keys() - shown.keys()] + [f"a row {key!r} too many" for key in shown.keys() - wanted.keys()]
    for key in wanted.keys() & shown.keys():
        left = list(wanted[key])
        assert shown[key].keys() == one.fields.keys()
        for name, what in one.fields.items():
            mine, left = left[: len(what.sql)], left[len(what.sql) :]
            if wrong := what.judge(shown[key][name], *mine):
                found.append(f"{key!r}.{name} {what.weir}: {wrong}")
    return found


def completed(node, job: str) -> bool:
    executions = node.json(f"/api/v1/jobs/{job}/executions")["executions"]
    assert not executions or executions[0]["status"] != "FAILED", executions[0]
    return bool(executions) and executions[0]["status"] == "COMPLETED"


@pytest.mark.parametrize("number", range(TOPOLOGIES))
def test_jobs_give_what_duckdb_gives(weir_node, tmp_path, seed, number):
    rng = random.Random(f"{seed}/{number}")
    now_ms = int(time.time() * 1000)
    made = records(rng, now_ms, rng.randrange(200, 4000), PARTITIONS)
    cases = [case(rng, rng.choice(["history", "newest"]), now_ms) for _ in range(JOBS)]
    node = weir_node(topology(cases))
    fill(node, made)
    sql = database(made, tmp_path)
    for i, one in enumerate(cases):
        answer = node.post(f"/api/v1/jobs/j{i}/run")
        assert answer.status_code in (200, 202), answer.text
        wait_for(lambda i=i: completed(node, f"j{i}"), 30, f"job j{i} to be completed")
        answers = sql.execute(one.sql).fetchall()
        wait_for(lambda i=i, answers=answers: len(node.rows(f"out{i}")) == len(answers), 10, lambda i=i, answers=answers: f"{len(answers)} rows of out{i}, not {len(node.rows(f'out{i}'))}")
        wrong = differences(one, node.rows(f"out{i}"), answers)
        assert not wrong, f"job {i}: {json.dumps(one.weir, ensure_ascii=False)}\n{one.sql}\n" + "\n".join(wrong[:10])
