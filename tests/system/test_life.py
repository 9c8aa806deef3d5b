"""Start, readiness, the end, and what a node costs while it has nothing to do."""

import concurrent.futures
import os
import pathlib
import signal
import time

import pytest
from harness.fleet import load, topology
from harness.kafka import Record
from harness.node import weir
from harness.ports import free_port
from harness.processes import gone, wait_gone
from harness.raw import RawWebSocket
from harness.waiting import holds_for, wait_for

EMBEDDED = ("embedded", "embedded", "readings")


def test_embedded_parts_are_ready_soon_and_cost_little(weir_node):
    """Prints what a start takes and what an idle node uses; the bounds leave room for a busy machine."""
    began = time.monotonic()
    node = weir_node(topology(*EMBEDDED))
    ready = time.monotonic() - began
    # Idle is measured over a while, after the work of starting is over.
    cpu, at = node.process.cpu_seconds(), time.monotonic()
    wait_for(lambda: time.monotonic() - at >= 5, 10, "five seconds of idling")
    percent = (node.process.cpu_seconds() - cpu) / (time.monotonic() - at) * 100
    print(f"start to ready {ready:.2f} s; idle: {node.process.memory_mib():.1f} MiB, {percent:.2f} % of a core")
    assert ready < 10
    assert node.process.memory_mib() < 90
    assert percent < 6


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_embedded_redis_ends_with_its_node(weir_node, how):
    """Whatever way the node ends."""
    node = weir_node(topology(*EMBEDDED))
    children = node.process.children()
    names = [pathlib.Path(f"/proc/{pid}/comm").read_text().strip() for pid in children]
    assert any("redis" in name for name in names), names
    node.process.signal(how)
    status = node.process.wait(30)
    assert status == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    for pid in children:
        wait_gone(pid, 15)


def test_an_embedded_redis_that_is_killed_comes_back(kraft, weir_node):
    """Again and again, and what it held is filled again from Kafka; a signal still ends the node."""
    topic = kraft.topic("readings", 2)
    kraft.produce(topic, [Record(f"k{i}".encode(), b'{"machine":"m","site":"s","cpu":1,"bytes":1,"ts":1,"p":0,"i":0}', 0, load.START_MS + i) for i in range(100)])
    node = weir_node(topology(kraft.bootstrap, "embedded", topic))
    wait_for(lambda: len(node.rows("machines")) == 100, 60, "the table to be filled")
    rows = node.rows("machines")
    for time_of in range(1, 3):
        (redis,) = [pid for pid in node.process.children() if "redis" in pathlib.Path(f"/proc/{pid}/comm").read_text()]
        os.kill(redis, signal.SIGKILL)
        wait_for(lambda: gone(redis), 10, "the child to be gone")
        wait_for(lambda times=time_of: node.log().count("the embedded Redis is there again") == times, 30, lambda: f"another one to be there\n{node.tail()}")
        wait_for(lambda: node.get("/readyz").status_code == 200 and node.rows("machines") == rows, 60, lambda: f"the table to be whole again\n{node.tail()}")
    assert node.stop(30) == 0


def test_sigterm_drains_within_its_deadline(kraft, redis_server, weir_node, sdk, layout, seed):
    """Under load, with subscribers: exit code 0, sessions told to reconnect (3001), and Kafka knows what Redis has."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 40_000, 1_000, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    raw = RawWebSocket(node.port, seconds=30)
    raw.say({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "totals", "type": 1, "phase": 2, "flag": 1}})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        told = pool.submit(raw.close_code)
        kraft.produce(topic, records)
        began = time.monotonic()
        assert node.stop(30) == 0
        print(f"drained in {time.monotonic() - began:.2f} s")
        assert told.result(30) == 3001
    positions = layout(redis_server).positions("machines")
    committed = {p: offset for p, offset in kraft.committed(f"group-{topic}.readings", topic).items() if offset >= 0}
    assert all(offset <= positions[p] for p, offset in committed.items())


def test_a_second_signal_ends_at_once(kraft, redis_server, weir_node):
    """While the drain waits for a Redis that does not answer."""
    topic = kraft.topic("readings")
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    redis_server.pause()
    try:
        kraft.produce(topic, [Record(b"k", b'{"machine":"m","site":"s","cpu":1}', 0, load.START_MS)])
        node.process.signal(signal.SIGTERM)
        wait_for(lambda: "SIGTERM" in node.log() or "drain" in node.log() or "shut" in node.log() or "stopp" in node.log(), 10, lambda: f"the drain to begin\n{node.tail()}")
        if node.alive():
            node.process.signal(signal.SIGTERM)
            began = time.monotonic()
            node.process.wait(5)
            assert time.monotonic() - began < 3
    finally:
        redis_server.resume()


def test_readiness_waits_for_redis_and_kafka_and_says_for_what(weir_node, kraft, redis_server):
    """Liveness is there before readiness; what is waited for is named."""
    made = topology(f"127.0.0.1:{free_port()}", redis_server.url, "readings")
    node = weir_node(made, ready=False)

    def answer(path):
        try:
            return node.get(path)
        except OSError:
            return None

    wait_for(lambda: (got := answer("/healthz")) is not None and got.status_code == 200, 30, lambda: f"liveness\n{node.tail()}")
    holds_for(lambda: answer("/readyz").status_code == 503, 2, "ready without Kafka")
    told = answer("/readyz").json()
    assert told["ready"] is False and told["waiting"]
    assert node.stop() == 0


def test_a_port_in_use_is_an_error_with_its_address(weir_node, tmp_path):
    node = weir_node(topology(*EMBEDDED))
    second = weir_node({**topology(*EMBEDDED), "http": {"listen": node.listen}}, ready=False)
    assert second.process.wait(30) not in (0, 78)
    assert str(node.port) in second.log()
    assert node.get("/healthz").status_code == 200


def test_metrics_and_status_tell_what_happened(weir_node, kraft, redis_server, seed):
    topic, dead = kraft.topic("readings"), kraft.topic("readings-dead", 1)
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic, dead))
    records = kraft.produce(topic, load.fleet(seed, 2_000, 100, garbage=0.05))
    garbage = sum(1 for record in records if record.value in load.GARBAGE)
    wait_for(lambda: node.metric("weir_records_applied_total", source="readings") >= len(records), 60, lambda: f"records to be counted\n{node.get('/metrics').text}")
    assert node.metric("weir_records_read_total") == len(records)
    assert node.metric("weir_records_dead_lettered_total", source="readings") == garbage > 0
    assert sum(node.metric("weir_position", partition=str(p)) for p in range(8)) == len(records)
    done = weir("status", node.url)
    assert done.returncode == 0 and "machines" in done.stdout and "readings" in done.stdout, done.stderr
    tables = {table["name"]: table for table in node.json("/api/v1/tables")["tables"]}
    assert tables["machines"]["kind"] == "latest"


def test_tail_prints_rows_as_they_change(weir_node, kraft, redis_server):
    import subprocess

    from harness.node import BINARY

    topic = kraft.topic("readings", 1)
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    with subprocess.Popen([str(BINARY), "tail", node.url, "machines", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, stdin=subprocess.DEVNULL) as tail:
        try:
            lines: list[str] = []
            import threading

            reader = threading.Thread(target=lambda: lines.extend(iter(tail.stdout.readline, "")), daemon=True)
            reader.start()
            kraft.produce(topic, [Record(b"k1", b'{"machine":"m","site":"s","cpu":17.5}', 0, load.START_MS)])
            wait_for(lambda: any("17.5" in line and "k1" in line for line in list(lines)), 30, lambda: f"the row, got {lines}")
        finally:
            tail.terminate()
    reader.join(10)


def test_logs_as_json_are_one_object_a_line(weir_node):
    import json

    node = weir_node(topology(*EMBEDDED), arguments=("--log-format", "json"))
    assert node.stop() == 0
    lines = [line for line in node.log().splitlines() if line.strip()]
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)
