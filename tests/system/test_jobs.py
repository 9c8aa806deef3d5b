"""Jobs: what they write equals the same reduction over the same rows."""

import time

from harness import load, oracle
from harness.fleet import differences, topology
from harness.kafka import Record
from harness.waiting import wait_for

FIELDS = {"n": "count", "cpu_sum": {"sum": "/cpu"}, "cpu_avg": {"avg": "/cpu"}, "cpu_min": {"min": "/cpu"}, "cpu_max": {"max": "/cpu"}}


def with_jobs(kafka, redis_url, topic, out):
    made = topology(kafka.bootstrap, redis_url, topic)
    made["tables"]["by_site"] = {"from": "job:rollup", "kind": "latest"}
    made["tables"]["recent"] = {"from": "job:recent", "kind": "latest"}
    made["jobs"] = {
        "rollup": {"on": "demand", "read": {"table": "machines"}, "where": {"/cpu": {"gte": 10}}, "group_by": "/site", "fields": FIELDS, "write": {"table": "by_site", "topic": out}},
        "recent": {"every": "1s", "read": {"table": "hot", "last": "30s"}, "group_by": "/site", "fields": {"n": "count"}, "write": {"table": "recent"}},
    }
    return made


def reduced(rows, key):
    """Integer and two-digit numbers only, compared closely: the order of rows in a table is nobody's promise."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row["cpu"])
    return {site: {"n": len(cpu), "cpu_sum": round(sum(cpu), 6), "cpu_avg": round(sum(cpu) / len(cpu), 6), "cpu_min": min(cpu), "cpu_max": max(cpu)} for site, cpu in groups.items()}


def rounded(rows):
    return {key: {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()} for key, row in rows.items()}


def test_a_job_on_demand_writes_the_reduction_of_the_table(kraft, redis_server, weir_node, seed):
    """To its table and to its topic; a second run after more records writes the new one, and groups that are gone do not stay wrong."""
    topic, out = kraft.topic("readings"), kraft.topic("rollups", 1)
    node = weir_node(with_jobs(kraft, redis_server.url, topic, out))
    records: list[Record] = []
    for part in (1, 2):
        records += kraft.produce(topic, load.fleet(seed + part, 5_000, 500))
        machines = oracle.latest(records)
        wait_for(lambda machines=machines: node.rows("machines") == machines, 60, "the table to be filled")
        answer = node.post("/api/v1/jobs/rollup/run")
        assert answer.status_code in (200, 202), answer.text
        wanted = reduced([row for row in machines.values() if row["cpu"] >= 10], "site")
        wait_for(lambda wanted=wanted: rounded(node.rows("by_site")) == wanted, 30, lambda wanted=wanted: differences(rounded(node.rows("by_site")), wanted))
    written = kraft.read_all(out)
    assert {record.key.decode() for record in written} >= set(wanted)


def test_a_job_by_interval_reads_its_window(kraft, redis_server, weir_node):
    """Only what happened within the window counts, by event time; what leaves it is not counted any more."""
    topic, out = kraft.topic("readings", 2), kraft.topic("rollups", 1)
    node = weir_node(with_jobs(kraft, redis_server.url, topic, out))
    now = int(time.time() * 1000)

    def reading(i, age_ms, site):
        return Record(f"k{i}".encode(), f'{{"machine":"m{i}","site":"{site}","cpu":97,"bytes":1,"ts":{now - age_ms},"p":{i % 2},"i":{i}}}'.encode(), i % 2, now)

    kraft.produce(topic, [reading(i, 120_000, "old") for i in range(20)] + [reading(i, 10_000 if i % 2 else 100, "new") for i in range(30)])
    wait_for(lambda: node.rows("recent").get("new") == {"n": 30}, 30, lambda: f"the window to be reduced: {node.rows('recent')}")
    assert "old" not in node.rows("recent")
    # 15 of them are 10 s old: they leave the window after 20 more.
    wait_for(lambda: node.rows("recent").get("new") == {"n": 15}, 45, lambda: f"the older half to leave the window: {node.rows('recent')}")
    jobs = {job["name"]: job for job in node.json("/api/v1/jobs")["jobs"]}
    assert {"rollup", "recent"} <= jobs.keys()


def test_a_job_that_is_not_there_and_a_get_where_a_post_belongs(kraft, redis_server, weir_node):
    node = weir_node(with_jobs(kraft, redis_server.url, kraft.topic("readings", 1), kraft.topic("rollups", 1)))
    assert node.post("/api/v1/jobs/nothing/run").status_code == 404
    assert node.get("/api/v1/jobs/rollup/run").status_code in (404, 405)
    assert node.post("/api/v1/jobs/rollup/run", headers={"Origin": "http://evil.example"}).status_code == 403
