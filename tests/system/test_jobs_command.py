"""weir jobs: what an operator types."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import pytest

from harness.kafka import Record
from harness.node import BINARY, weir
from harness.ports import free_port
from harness.waiting import wait_for

ROWS = 300


@pytest.fixture
def node(kraft, redis_server, weir_node):
    """A table of ROWS rows, a job that reads it at once, and one that takes three seconds to."""
    topic = kraft.topic("rows", 2)
    kraft.produce(topic, [Record(b"k%d" % i, b'{"v":%d,"even":%s}' % (i, b"false" if i % 2 else b"true"), i % 2, 0) for i in range(ROWS)])
    sums = {"n": "count", "v": {"sum": "/v"}}
    made = weir_node({
        "topology": "jobs", "kafka": {"brokers": kraft.bootstrap}, "redis": {"url": redis_server.url}, "http": {"listen": f"127.0.0.1:{free_port()}"},
        "sources": {"rows": {"topic": topic}},
        "tables": {"rows": {"from": "rows", "kind": "latest"}, "quick": {"from": "job:quick", "kind": "latest"}, "slow": {"from": "job:slow", "kind": "latest"}, "never": {"from": "job:never", "kind": "latest"}},
        "jobs": {
            "quick": {"on": "demand", "parameters": {"even": True}, "where": {"/even": {"eq": {"parameter": "even"}}}, "read": "rows", "fields": sums, "write": {"table": "quick"}},
            "slow": {"on": "demand", "throttle": "100/s", "read": "rows", "group_by": "/v", "fields": sums, "write": {"table": "slow"}},
            "never": {"on": "demand", "read": "rows", "group_by": "/missing", "skip_limit": 5, "fields": sums, "write": {"table": "never"}},
        },
    })
    wait_for(lambda: len(made.rows("rows")) == ROWS, 30, "the table to be filled")
    return made


def jobs(node, *arguments: str) -> subprocess.CompletedProcess[str]:
    return weir("jobs", node.url, *arguments)


def newest(node, job: str) -> dict:
    done = jobs(node, "history", job, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["executions"][0]


def test_runs_with_parameters_and_what_does_not_exist(node):
    done = jobs(node, "run", "quick")
    assert done.returncode == 0 and "COMPLETED" in done.stdout, done
    evens = {"n": ROWS // 2, "v": sum(range(0, ROWS, 2))}
    wait_for(lambda: node.rows("quick") == {"all": evens}, 10, lambda: f"the sum of the even ones: {node.rows('quick')}")
    done = jobs(node, "run", "quick", "--param", "even=false")
    assert done.returncode == 0, done
    wait_for(lambda: node.rows("quick") == {"all": {"n": ROWS // 2, "v": sum(range(1, ROWS, 2))}}, 10, lambda: f"the sum of the odd ones: {node.rows('quick')}")
    shown = jobs(node, "show", "quick")
    assert f"read {ROWS}  filtered {ROWS // 2}  skipped 0  written 1  commits 1  retried 0  takeovers 0" in shown.stdout, shown
    for wrong, says in (["run", "quick", "--param", "odd=1"], "no parameter 'odd'"), (["run", "quick", "--param", "even"], "NAME=VALUE"), (["show", "nothing"], "no job 'nothing'"):
        done = jobs(node, *wrong)
        assert done.returncode == 64 and says in done.stderr, done
    listed = jobs(node, "list")
    assert listed.returncode == 0 and {line.split()[0] for line in listed.stdout.splitlines()} == {"JOB", "quick", "slow", "never"}, listed


def test_an_execution_that_fails_says_what_and_where(node):
    done = jobs(node, "run", "never")
    assert done.returncode == 70 and "FAILED" in done.stdout and "skip_limit" in done.stdout and "rows" in done.stdout, done
    last = newest(node, "never")
    assert last["status"] == "FAILED" and last["skipped"] >= 5 and last["written"] == 0, last
    assert "FAILED" in jobs(node, "show", "never").stdout


def test_stop_restart_and_abandon(node):
    running = subprocess.Popen([str(BINARY), "jobs", node.url, "run", "slow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: "STARTED" in jobs(node, "show", "slow").stdout, 10, "the execution to begin")
        again = jobs(node, "run", "slow")
        assert again.returncode == 69 and "is running" in again.stderr, again
        stopped = jobs(node, "stop", "slow")
        assert stopped.returncode == 0 and "STOPPED" in stopped.stdout, stopped
        out, _ = running.communicate(timeout=20)
        assert running.returncode == 0 and "STOPPED" in out, out
    finally:
        running.kill()
    assert node.rows("slow") == {} and newest(node, "slow")["status"] == "STOPPED"
    restarted = jobs(node, "restart", "slow")
    assert restarted.returncode == 0 and "COMPLETED" in restarted.stdout, restarted
    wait_for(lambda: len(node.rows("slow")) == ROWS, 10, "all groups")
    for verb in ("restart", "abandon", "stop"):
        done = jobs(node, verb, "slow")
        assert done.returncode == 69 and "slow" in done.stderr, done
    begun = jobs(node, "run", "slow", "--no-wait")
    assert begun.returncode == 0 and "STARTING" in begun.stdout, begun
    abandoned = jobs(node, "abandon", "slow")
    assert abandoned.returncode == 0 and newest(node, "slow")["status"] == "ABANDONED", abandoned


def test_a_job_gives_way_where_no_core_is_to_spare(kraft, redis_server, weir_node):
    """Beside programs that take its core a reading job sees that it waits for it, slows down, and the metric says so."""
    rows = 200_000  # enough work that a twentieth of a core takes seconds for it
    topic = kraft.topic("many", 2)
    for at in range(0, rows, 20_000):
        kraft.produce(topic, [Record(b"k%d" % i, b'{"v":%d}' % i, i % 2, 0) for i in range(at, at + 20_000)])
    node = weir_node({
        "topology": "jobs", "kafka": {"brokers": kraft.bootstrap}, "redis": {"url": redis_server.url}, "http": {"listen": f"127.0.0.1:{free_port()}"},
        "sources": {"rows": {"topic": topic}},
        "tables": {"rows": {"from": "rows", "kind": "latest", "expected_rows": rows}, "sum": {"from": "job:sum", "kind": "latest"}},
        "jobs": {"sum": {"on": "demand", "read": "rows", "fields": {"n": "count"}, "write": {"table": "sum"}}},
    })
    ends = kraft.end_offsets(topic).items()
    client = redis_server.client()
    wait_for(lambda: all(int(client.hget("{jobs:rows:%d}" % p, "next:rows@1") or 0) >= end for p, end in ends), 60, "the rows to be applied")
    assert node.metric("weir_job_slowdown", job="sum") == 1
    core = {min(os.sched_getaffinity(0))}
    for thread in os.listdir(f"/proc/{node.process.pid}/task"):
        with contextlib.suppress(ProcessLookupError):  # one that has ended meanwhile
            os.sched_setaffinity(int(thread), core)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        for process in busy:
            os.sched_setaffinity(process.pid, core)
        assert jobs(node, "run", "sum", "--no-wait").returncode == 0
        wait_for(lambda: node.metric("weir_job_slowdown", job="sum") > 2, 60, lambda: f"the job to slow down: {jobs(node, 'show', 'sum').stdout}")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    wait_for(lambda: node.rows("sum") == {"all": {"n": rows}}, 60, "the job to end")
    wait_for(lambda: node.metric("weir_job_slowdown", job="sum") == 1, 10, "the metric to forget it")


def test_a_terminal_shows_how_far_it_is(node):
    """From the first second on; what is not a terminal gets the end alone."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(BINARY), "jobs", node.url, "run", "slow"], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # the end of a pseudo terminal
    finally:
        os.close(ours)
        out, _ = process.communicate(timeout=30)
    bars = [part for part in shown.split(b"\r\x1b[K") if b" %  " in part]
    assert len(bars) >= 3 and b" of %d " % ROWS in bars[0] and b"s left" in bars[-1], shown
    assert shown.endswith(b"\r\x1b[K") and process.returncode == 0 and out.count("\n") == 1 and "COMPLETED" in out, (shown, out)
    assert jobs(node, "run", "quick").stderr == ""
