"""`weir tail`: rows and entries as lines, through drops and restarts."""

import fcntl
import json
import pathlib
import signal
import subprocess
import sys
import termios
import time

import pytest
from harness.fleet import Expected, Sender, by_partition, differences, load, topology
from harness.kafka import Record
from harness.node import BINARY, weir
from harness.ports import free_port
from harness.waiting import wait_for


class Tail:
    """A running `weir tail --json`, its output in files called by `name`."""

    def __init__(self, folder: pathlib.Path, name: str, url: str, table: str, *arguments: str):
        self.out, self.errors = folder / f"{name}.out", folder / f"{name}.err"
        with self.out.open("wb") as out, self.errors.open("wb") as errors:
            self.child = subprocess.Popen([str(BINARY), "tail", url, table, "--json", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=errors)

    def lines(self) -> list[dict]:
        """Complete ones."""
        return [json.loads(line) for line in self.out.read_bytes().split(b"\n")[:-1]]

    def notes(self) -> str:
        return self.errors.read_text(encoding="utf-8")

    def rows(self) -> dict:
        """What somebody has who follows the lines of a map."""
        rows: dict = {}
        for line in self.lines():
            if "gap" in line:
                rows.clear()
            elif line.get("removed"):
                rows.pop(line["key"], None)
            else:
                rows[line["key"]] = line["data"]
        return rows

    def told_to_end(self, number: int) -> int:
        """The exit code after a signal."""
        self.child.send_signal(number)
        return self.child.wait(10)

    def stop(self) -> None:
        self.child.kill()
        self.child.wait(10)


@pytest.fixture
def tail(tmp_path):
    running: list[Tail] = []

    def start(*arguments: str) -> Tail:
        running.append(Tail(tmp_path, f"tail-{len(running)}", *arguments))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_a_tail_goes_on_where_it_was_after_a_drop_and_after_a_restart_of_the_node(kraft, redis_server, weir_node, restart, proxy, tail, seed):
    """A map ends as the table is; a log has each entry once and in order. Neither had a gap, and both said that they reconnected."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 12_000, 500, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    # Each partition that begins for the first time begins the tables anew, which is a gap: they all have when these are there.
    early = records[:1_000]
    Sender(kraft, topic, early, 20_000).finish()
    wait_for(lambda: node.rows("machines") == Expected(early).machines, 60, "the first records to be applied")
    between = proxy(node.port)
    url = f"http://127.0.0.1:{between.port}"
    table, log = tail(url, "machines"), tail(url, "hot")
    # Subscribed: the log has nothing to show before something happens.
    wait_for(lambda: node.metric("weir_sessions") == 2, 30, "both to be connected")
    sender = Sender(kraft, topic, records[len(early):], 4_000)
    wait_for(lambda: table.lines() and log.lines(), 30, "first lines")
    sender.wait_sent(4_000)
    between.cut()
    sender.wait_sent(7_500)
    node.kill()
    restart(node)
    sender.finish()
    wanted = Expected(records)
    wait_for(lambda: table.rows() == wanted.machines, 60, lambda: differences(table.rows(), wanted.machines) + table.notes())

    # A log's tail shows what comes after it.
    before = Expected(early).hot
    following = {partition: entries[len(before.get(partition, [])):] for partition, entries in wanted.hot.items()}

    def entries() -> dict:
        return by_partition([line["data"] for line in log.lines()])

    wait_for(lambda: entries() == following, 60, lambda: differences(entries(), following) + log.notes())
    for one in (table, log):
        assert one.notes().count("connection lost") >= 2 and "going on from where it was" in one.notes(), one.notes()
        assert not any("gap" in line for line in one.lines())


def test_a_tail_whose_position_is_lost_says_so_and_ends_with_the_table(kraft, redis_server, weir_node, restart, tail, seed):
    """Redis is emptied while the node is away: another epoch, so a gap and the table anew."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 3_000, 100, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    table = tail(node.url, "machines")
    Sender(kraft, topic, records, 10_000).finish()
    wanted = Expected(records).machines
    wait_for(lambda: table.rows() == wanted, 60, lambda: differences(table.rows(), wanted))
    node.kill()
    redis_server.client().flushall()
    restart(node)
    wait_for(lambda: any("gap" in line for line in table.lines()), 60, lambda: f"a gap\n{table.notes()}")
    wait_for(lambda: table.rows() == wanted, 60, lambda: differences(table.rows(), wanted))
    assert "gap: the position was lost" in table.notes()


def test_a_tail_prints_the_rows_that_it_was_asked_for(kraft, redis_server, weir_node, tail, seed):
    """Conditions, single rows and aggregates, followed from an empty table on: rows come, change, and go where they no longer meet the condition."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 4_000, 100, garbage=0))
    wanted = Expected(records)
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    busy = load.machine(0)
    hot = tail(node.url, "machines", "--where", '{"/cpu":{"gt":70}}')
    one = tail(node.url, "machines", "--key", busy)
    totals = tail(node.url, "totals")
    wait_for(lambda: node.metric("weir_sessions") == 3, 30, "all to be connected")
    Sender(kraft, topic, records, 4_000).finish()
    for followed, rows in (
        (hot, {key: row for key, row in wanted.machines.items() if row["cpu"] > 70}),
        (one, {key: row for key, row in wanted.machines.items() if key == busy}),
        (totals, wanted.totals),
    ):
        wait_for(lambda followed=followed, rows=rows: followed.rows() == rows, 60, lambda followed=followed, rows=rows: differences(followed.rows(), rows) + followed.notes())
    assert any(line.get("removed") for line in hot.lines()), "no row left the condition: the records prove less than they should"

    # As text: key, tab, row.
    text = weir("tail", node.url, "machines", "--count", str(len(wanted.machines)))
    assert text.returncode == 0, text.stderr
    assert {key: json.loads(row) for key, row in (line.split("\t", 1) for line in text.stdout.splitlines())} == wanted.machines
    refused = weir("tail", node.url, "hot", "--key", busy)
    assert refused.returncode == 64 and "--where" in refused.stderr, refused.stderr


def test_a_tail_with_a_rate_gets_no_more_than_that_and_ends_with_the_newest_row(kraft, redis_server, weir_node, tail):
    topic = kraft.topic("readings")
    made = topology(kraft.bootstrap, redis_server.url, topic)
    made["tables"] = {"machines": made["tables"]["machines"]}
    node = weir_node(made)
    records = [Record(b"m", json.dumps({"i": i}).encode(), 0, load.START_MS + i) for i in range(2_000)]
    slow, all_of_them = tail(node.url, "machines", "--rate", "30/m"), tail(node.url, "machines")
    wait_for(lambda: node.metric("weir_sessions") == 2, 30, "both to be connected")
    began = time.monotonic()
    Sender(kraft, topic, records, 400).finish()  # five batches a second
    for followed in (slow, all_of_them):
        wait_for(lambda followed=followed: followed.rows() == {"m": {"i": 1_999}}, 30, lambda followed=followed: f"the newest row\n{followed.notes()}{followed.lines()[-3:]}")
    allowed = 0.5 * (time.monotonic() - began) + 2
    # Without gaps: a table that is new begins anew with each of its partitions.
    few, many = ([line for line in followed.lines() if "key" in line] for followed in (slow, all_of_them))
    assert len(few) <= allowed, few
    assert len(many) > 2 * allowed, "too few changes to tell a rate from none"


def test_a_tail_by_tls_wants_the_certificate_to_be_trusted(kraft, redis_server, weir_node, tail, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=weir", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=tmp_path, check=True, capture_output=True, timeout=30,
    )
    topic = kraft.topic("readings")
    listen = f"127.0.0.1:{free_port()}"
    made = topology(kraft.bootstrap, redis_server.url, topic, http={"listen": listen, "tls": {"certificate": "cert.pem", "key": "key.pem"}})
    weir_node(made, ready=False)
    url, ca = f"https://{listen}", str(tmp_path / "cert.pem")
    wait_for(lambda: weir("health", url, "--ready", "--ca", ca).returncode == 0, 60, "the node to be ready")
    kraft.produce(topic, [Record(b"m", b'{"cpu":1,"site":"s"}', 0, load.START_MS)])
    rows = tail(url, "machines", "--ca", ca)
    wait_for(lambda: rows.rows() == {"m": {"cpu": 1, "site": "s"}}, 30, lambda: f"the row\n{rows.notes()}")
    stranger = weir("tail", url, "machines")
    assert stranger.returncode == 69 and "certificate" in stranger.stderr, stranger.stderr


def test_a_tail_ends_well_by_a_signal_and_when_nobody_reads_it(kraft, redis_server, weir_node, tail):
    """Also while nothing comes that it could fail to write."""
    topic = kraft.topic("readings")
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    kraft.produce(topic, [Record(b"m", b'{"cpu":1,"site":"s"}', 0, load.START_MS)])
    for number in (signal.SIGINT, signal.SIGTERM):
        followed = tail(node.url, "machines")
        wait_for(followed.lines, 30, lambda followed=followed: f"the row\n{followed.notes()}")
        assert followed.told_to_end(number) == 0, followed.notes()
        assert followed.notes() == ""
    with subprocess.Popen([str(BINARY), "tail", node.url, "machines"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as piped:
        assert piped.stdout and piped.stderr
        assert piped.stdout.readline().startswith(b"m\t")
        piped.stdout.close()
        assert piped.wait(10) == 0 and piped.stderr.read() == b""
    full = subprocess.run([str(BINARY), "tail", node.url, "machines"], stdin=subprocess.DEVNULL, stdout=pathlib.Path("/dev/full").open("wb"), stderr=subprocess.PIPE, timeout=30, check=False)
    assert full.returncode == 71 and b"No space left" in full.stderr, full
    wait_for(lambda: node.metric("weir_sessions") == 0, 30, "the node to see them gone")


def unread(pipe) -> int:
    """Bytes in a pipe that wait for their reader."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder)


def test_a_signal_ends_a_tail_whose_reader_has_stopped_reading(kraft, redis_server, weir_node):
    """The pipe is full, so that it waits in the middle of its output."""
    topic = kraft.topic("readings")
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    rows = 400
    kraft.produce(topic, [Record(f"m{i}".encode(), json.dumps({"x": "x" * 1000}).encode(), 0, load.START_MS) for i in range(rows)])
    wait_for(lambda: len(node.rows("machines")) == rows, 30, "the rows to be there")
    with subprocess.Popen([str(BINARY), "tail", node.url, "machines"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as piped:
        assert piped.stdout
        piped.stdout.read(1)  # it has begun, and a pipe has room for 64 KiB
        wait_for(lambda: unread(piped.stdout) > 60_000, 30, "the pipe to be full")
        piped.send_signal(signal.SIGINT)
        assert piped.wait(10) == 0


def test_a_tail_waits_for_a_node_that_is_not_ready_and_says_for_what(kraft, redis_server, weir_node, tail):
    topic = kraft.topic("readings")
    kraft.produce(topic, [Record(b"m", b'{"cpu":1,"site":"s"}', 0, load.START_MS)])
    redis_server.kill()
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic), ready=False)
    wait_for(lambda: weir("health", node.url).returncode == 0, 30, "the node to answer")
    impatient = weir("tail", node.url, "machines", "--wait", "1")
    assert impatient.returncode == 69 and "within 1 s" in impatient.stderr and "redis" in impatient.stderr.lower(), impatient.stderr
    followed = tail(node.url, "machines")
    wait_for(lambda: "is not ready: " in followed.notes() and "redis" in followed.notes().lower(), 30, "it to say what it waits for")
    redis_server.start()
    wait_for(lambda: followed.rows() == {"m": {"cpu": 1, "site": "s"}}, 60, lambda: f"the row\n{followed.notes()}")
