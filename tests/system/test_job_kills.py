"""A job's execution outlives its node: whoever schedules next goes on with it, and its result is written once.

Each stored row carries the fire time of the execution that wrote it, so a result that is mixed with an earlier one shows. The sizes are those of
a run in passing; tests/chaos/job-kills runs the same at length.
"""

import json
import os
import random
import signal
import threading
import time

import pytest
import requests
from harness.kafka import Record
from harness.ports import free_port
from harness.waiting import wait_for

LEASE_S = 1.0
ROWS = int(os.environ.get("WEIR_KILL_ROWS") or 100_000)
KILLS = int(os.environ.get("WEIR_KILLS") or 10)  # of each test
THROTTLE = os.environ.get("WEIR_KILL_THROTTLE") or "250000/s"
CHUNK = 500
CHUNKS = -(-ROWS // CHUNK)
OPEN = {"STARTING", "STARTED", "STOPPING"}
JOB = "{kills:job:sum:0}"


class Cluster:
    """Some nodes of one topology, whose one table has ROWS rows, and whose job gives as many."""

    def __init__(self, kafka, redis_server, weir_node, restart, nodes: int, topic_out: str | None = None, once: bool = False):
        self.kafka, self.redis, self.restart = kafka, redis_server.client(), restart
        topic = kafka.topic("rows", 4)
        self.nodes = [weir_node(self.topology(redis_server.url, topic, topic_out, once), name=f"member-{i}") for i in range(nodes)]
        for at in range(0, ROWS, 20_000):
            kafka.produce(topic, [Record(b"k%d" % i, b'{"k":"k%d","v":%d}' % (i, i), i % 4, 0) for i in range(at, min(at + 20_000, ROWS))])
        ends = kafka.end_offsets(topic).items()
        wait_for(lambda: all(int(self.redis.hget("{kills:rows:%d}" % p, "next:rows@1") or 0) >= end for p, end in ends), 120, "the rows to be applied")

    def topology(self, redis_url: str, topic: str, out: str | None, once: bool) -> dict:
        return {
            "topology": "kills", "kafka": {"brokers": self.kafka.bootstrap}, "redis": {"url": redis_url},
            "scheduler": {"lease": f"{int(LEASE_S * 1000)}ms"}, "http": {"listen": f"127.0.0.1:{free_port()}"},
            "sources": {"rows": {"topic": topic}},
            "tables": {"rows": {"from": "rows", "kind": "latest"}, "sums": {"from": "job:sum", "kind": "latest"}},
            "jobs": {"sum": {"on": "demand", "read": "rows", "group_by": "/k", "fields": {"n": "count", "v": {"sum": "/v"}}, "chunk": CHUNK, "throttle": THROTTLE,
                             "deadline": "5m", "write": {"table": "sums", **({"topic": out, "exactly_once": once} if out else {})}}},
        }

    def scheduling(self):
        def found():
            return next((node for node in self.nodes if node.alive() and scheduling(node)), None)

        return wait_for(found, 2 * LEASE_S + 10, "a node to schedule")

    def newest(self) -> tuple[str, str, int]:
        """Id and status of the newest execution, and how many chunks of its result are written."""
        found, status, chunks = self.redis.hmget(f"{JOB}:j", "id", "status", "chunks")
        return (found or b"").decode(), (status or b"").decode(), int(chunks or 0)

    def begin(self, node) -> str:
        """Runs the job, and comes back as soon as the execution is there."""
        before = self.newest()[0]

        def ask() -> None:  # answered with the execution's end, if there is anybody then
            try:
                requests.post(f"{node.url}/api/v1/jobs/sum/run", timeout=30)
            except OSError:
                return

        threading.Thread(target=ask, daemon=True).start()
        return wait_for(lambda: (now := self.newest()[0]) != before and now, 30, lambda: f"the execution to begin\n{node.tail()}")

    def wait_part(self) -> None:
        """A part of the result is there, and not all of it."""
        deadline = time.monotonic() + 30
        while self.newest()[2] == 0:  # without a pause: chunks come within milliseconds
            assert time.monotonic() < deadline, f"no chunk came: {self.newest()}"

    def executions(self, node) -> list[dict]:
        return node.json("/api/v1/jobs/sum/executions", limit=1000)["executions"]

    def of(self, node, execution: str) -> dict:
        return next((e for e in self.executions(node) if e["id"] == execution), {})

    def wait_taken_over(self, execution: str) -> None:
        """Nothing of a dead node stays as it was for longer than this, and nobody acts."""

        def moved() -> bool:
            found, status, _ = self.newest()
            return found == execution and (status not in OPEN or json.loads(self.redis.hget(f"{JOB}:j", "run"))["takeovers"] > 0)

        wait_for(moved, 2 * LEASE_S + 1, lambda: f"the execution to be taken over: {self.newest()}\n" + "\n".join(n.tail() for n in self.nodes if n.alive()))

    def wait_over(self, execution: str) -> dict:
        node = self.scheduling()
        wait_for(lambda: self.newest()[1] not in OPEN, 120, lambda: f"{execution} to end: {self.newest()}\n{node.tail()}")
        return wait_for(lambda: self.of(node, execution), 10, f"{execution} in the history")

    def assert_written_once(self, ended: dict) -> None:
        assert ended["status"] == "COMPLETED", ended
        assert ended["written"] == ROWS and ended["commits"] == CHUNKS
        stored, status, chunks = self.newest()
        assert (stored, status, chunks) == (ended["id"], "COMPLETED", CHUNKS)
        fire = int(ended["id"].split(".")[0])
        assert int(self.redis.hget(JOB, "next:sums@1")) == fire
        count = 0
        for bucket in self.redis.scan_iter(f"{JOB}:t:sums@1:*", count=1000):
            for key, row in self.redis.hgetall(bucket).items():
                stamp, _, value = row.decode().split(" ", 2)
                assert int(stamp) == fire, f"{key}: {row}, not of {fire}"
                assert json.loads(value) == {"n": 1, "v": int(key[1:])}
                count += 1
        assert count == ROWS


def scheduling(node) -> bool:
    try:
        return node.metric("weir_scheduling") == 1
    except requests.ConnectionError:  # not up yet
        return False


def kill_at_random(cluster: Cluster, rng: random.Random) -> None:
    """KILLS times the node that schedules, at a random moment of an execution and somewhat more."""
    first = cluster.wait_over(cluster.begin(cluster.scheduling()))
    cluster.assert_written_once(first)
    length = 1.1 * (first["ended"] - first["started"]) / 1000  # a few kills come after the end
    taken_over, at = 0, []
    for _ in range(KILLS):
        node = cluster.scheduling()
        execution = cluster.begin(node)
        time.sleep(rng.uniform(0, length))  # at a random moment: how far the execution is then is the point, and nothing is waited for
        node.kill()
        killed = time.monotonic()
        at.append(cluster.newest()[2])
        if len(cluster.nodes) == 1:
            cluster.restart(node, ready=False)  # jobs do not wait for its partitions
        cluster.wait_taken_over(execution)
        moved = time.monotonic() - killed
        if not node.alive():
            cluster.restart(node, ready=False)  # jobs do not wait for its partitions
        ended = cluster.wait_over(execution)
        taken_over += ended["takeovers"]
        cluster.assert_written_once(ended)
        print(json.dumps({"chunks": at[-1], "of": CHUNKS, "takeovers": ended["takeovers"], "moved_s": round(moved, 2)}))
    node = cluster.scheduling()
    assert len(cluster.executions(node)) == min(KILLS + 1, 100)
    assert taken_over > 0, "no kill met an execution"
    print(json.dumps({"nodes": len(cluster.nodes), "rows": ROWS, "kills": KILLS, "takeovers": taken_over, "within_the_result": sum(0 < n < CHUNKS for n in at)}))


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_killed_node_s_execution_goes_on_and_is_written_once(nodes, kraft, redis_server, weir_node, restart, seed):
    kill_at_random(Cluster(kraft, redis_server, weir_node, restart, nodes), random.Random(seed))


def test_a_topic_has_the_result_of_an_execution_that_was_taken_over(kraft, redis_server, weir_node, restart):
    """At least once each, and the same each time."""
    out = kraft.topic("sums", 2)
    cluster = Cluster(kraft, redis_server, weir_node, restart, 1, out)
    node = cluster.scheduling()
    execution = cluster.begin(node)
    cluster.wait_part()
    node.kill()
    cluster.restart(node, ready=False)  # jobs do not wait for its partitions
    ended = cluster.wait_over(execution)
    assert ended["takeovers"] >= 1
    cluster.assert_written_once(ended)
    found = [r for r in kraft.read_all(out) if dict(r.headers or []).get("weir.execution") == execution.encode()]
    assert {r.key for r in found} == {b"k%d" % i for i in range(ROWS)}
    assert len({(r.key, r.value) for r in found}) == ROWS


def test_a_topic_that_is_written_to_exactly_once_has_each_result_once(kraft, redis_server, weir_node, restart, seed):
    """Whenever the node is killed: while its transaction is open, while it is committed, or behind it."""
    out = kraft.topic("sums", 2)
    cluster = Cluster(kraft, redis_server, weir_node, restart, 1, out, once=True)
    rng = random.Random(seed)
    ended = [cluster.wait_over(cluster.begin(cluster.scheduling()))]
    in_transaction = 0
    with kraft.watch(out) as records:
        for number in range(KILLS // 2):
            before = records() + 2  # the marks of the last commit may come later
            node = cluster.scheduling()
            execution = cluster.begin(node)
            wait_for(lambda: cluster.newest()[2] >= CHUNKS, 60, lambda: f"the table of {execution}: {cluster.newest()}\n{node.tail()}")
            if number % 2:  # the topic is written to: its ends grow before anything of it is committed
                deadline = time.monotonic() + 60
                while records() <= before:  # without a pause: a transaction takes a tenth of a second
                    assert time.monotonic() < deadline, f"no records of {execution}: {cluster.newest()}\n{node.tail()}"
            else:
                time.sleep(rng.uniform(0, 1.0))  # at a random moment: how far the execution is then is the point, and nothing is waited for
            node.kill()
            in_transaction += cluster.newest()[1] in OPEN
            cluster.restart(node, ready=False)  # jobs do not wait for its partitions
            ended.append(cluster.wait_over(execution))
    for execution in ended:
        assert execution["status"] == "COMPLETED", execution
    assert in_transaction > 0, "no kill met an execution"
    assert sum(execution["takeovers"] for execution in ended) > 0
    of = {execution["id"]: [] for execution in ended}
    for record in kraft.read_all(out):
        of[dict(record.headers)["weir.execution"].decode()].append(record)
    for execution, found in of.items():
        assert len(found) == ROWS, f"{execution}: {len(found)}"
        assert {(r.key, r.value) for r in found} == {(b"k%d" % i, b'{"n":1,"v":%d}' % i) for i in range(ROWS)}
    given_up = len(kraft.read_all(out, committed=False)) - ROWS * len(ended)
    assert given_up > 0, "no kill met a transaction with records in it"
    print(json.dumps({"rows": ROWS, "kills": KILLS // 2, "met_an_execution": in_transaction, "records_of_transactions_given_up": given_up}))


def test_a_paused_scheduler_s_writes_are_refused_when_it_wakes(kraft, redis_server, weir_node, restart):
    """Another node has taken the lease meanwhile, and goes on with the execution."""
    cluster = Cluster(kraft, redis_server, weir_node, restart, 2)
    first = cluster.scheduling()
    second = next(node for node in cluster.nodes if node is not first)
    assert first.metric("weir_job_fenced_total") == 0
    execution = cluster.begin(first)
    cluster.wait_part()
    first.process.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: second.metric("weir_scheduling") == 1, 2 * LEASE_S + 1, "the second node to schedule")
        wait_for(lambda: cluster.newest()[1] not in OPEN, 60, lambda: f"the execution to end\n{second.tail()}")
    finally:
        first.process.signal(signal.SIGCONT)
    wait_for(lambda: first.metric("weir_scheduling") == 0, 30, "the first node to notice")
    wait_for(lambda: first.metric("weir_job_fenced_total") > 0, 10, lambda: f"a refused write\n{first.tail()}")
    assert second.metric("weir_job_takeovers_total") >= 1
    ended = cluster.of(second, execution)
    assert ended["takeovers"] >= 1
    cluster.assert_written_once(ended)


def test_a_node_that_is_paused_in_its_transaction_leaves_nothing_of_it(kraft, redis_server, weir_node, restart):
    """The other node fences its producer, and what it sends or commits when it wakes is refused."""
    out = kraft.topic("sums", 2)
    cluster = Cluster(kraft, redis_server, weir_node, restart, 2, out, once=True)
    first = cluster.scheduling()
    second = next(node for node in cluster.nodes if node is not first)
    with kraft.watch(out) as records:
        execution = cluster.begin(first)
        deadline = time.monotonic() + 60
        while records() == 0:  # without a pause: a transaction takes a tenth of a second
            assert time.monotonic() < deadline, f"no records of {execution}: {cluster.newest()}\n{first.tail()}"
        first.process.signal(signal.SIGSTOP)
    assert cluster.newest()[1] in OPEN, "the transaction was over before the node was paused"
    try:
        wait_for(lambda: second.metric("weir_scheduling") == 1, 2 * LEASE_S + 1, "the second node to schedule")
        wait_for(lambda: cluster.newest()[1] not in OPEN, 60, lambda: f"the execution to end\n{second.tail()}")
        before = len(kraft.read_all(out))
    finally:
        first.process.signal(signal.SIGCONT)
    wait_for(lambda: first.metric("weir_scheduling") == 0, 30, "the first node to notice")
    ended = cluster.wait_over(execution)
    cluster.assert_written_once(ended)
    assert ended["takeovers"] >= 1
    # What it had under way is refused by now: another execution of its own would wait for it.
    wait_for(lambda: "fenced" in first.log() or first.metric("weir_job_fenced_total") > 0, 30, lambda: f"the paused node's transaction to be refused\n{first.tail()}")
    found = kraft.read_all(out)
    assert len(found) == before == ROWS
    assert {(r.key, r.value) for r in found} == {(b"k%d" % i, b'{"n":1,"v":%d}' % i) for i in range(ROWS)}
