"""`weir tail`: rows and entries as lines, through drops and restarts."""

import json
import pathlib
import subprocess

import pytest
from harness.fleet import Expected, Sender, by_partition, differences, load, topology
from harness.node import BINARY
from harness.waiting import wait_for


class Tail:
    """A running `weir tail --json`, its output in files."""

    def __init__(self, folder: pathlib.Path, url: str, table: str, *arguments: str):
        self.out, self.errors = folder / f"tail-{table}.out", folder / f"tail-{table}.err"
        self.child = subprocess.Popen([str(BINARY), "tail", url, table, "--json", *arguments], stdin=subprocess.DEVNULL, stdout=self.out.open("wb"), stderr=self.errors.open("wb"))

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

    def stop(self) -> None:
        self.child.kill()
        self.child.wait(10)


@pytest.fixture
def tail(tmp_path):
    running: list[Tail] = []

    def start(*arguments: str) -> Tail:
        running.append(Tail(tmp_path, *arguments))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_a_tail_goes_on_where_it_was_after_a_drop_and_after_a_restart_of_the_node(kraft, redis_server, weir_node, restart, proxy, tail, seed):
    """A map ends as the table is; a log has each entry once and in order. Neither had a gap, and both said that they reconnected."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 12_000, 500, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    between = proxy(node.port)
    url = f"http://127.0.0.1:{between.port}"
    table, log = tail(url, "machines"), tail(url, "hot")
    # Subscribed: the log has nothing to show before something happens.
    wait_for(lambda: node.metric("weir_sessions") == 2, 30, "both to be connected")
    sender = Sender(kraft, topic, records, 4_000)
    wait_for(lambda: table.lines() and log.lines(), 30, "first lines")
    sender.wait_sent(4_000)
    between.cut()
    sender.wait_sent(8_000)
    node.kill()
    restart(node)
    sender.finish()
    wanted = Expected(records)
    wait_for(lambda: table.rows() == wanted.machines, 60, lambda: differences(table.rows(), wanted.machines) + table.notes())

    def entries() -> dict:
        return by_partition([line["data"] for line in log.lines()])

    wait_for(lambda: entries() == wanted.hot, 60, lambda: differences(entries(), wanted.hot) + log.notes())
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
