"""Two nodes of one topology: each serves every table, whoever writes it, and no row goes back for who goes from one to the other."""

import itertools
import signal
import threading

import pytest
from harness.fleet import Expected, Sender, by_partition, differences, load, topology
from harness.kafka import Record
from harness.ports import free_port
from harness.waiting import wait_for

PARTITIONS = 8


@pytest.fixture
def pair(kraft, redis_server, weir_node):
    """pair(topic) starts both; the second is a member of the group as soon as it has partitions."""

    def start(topic: str):
        first = topology(kraft.bootstrap, redis_server.url, topic)
        second = {**first, "http": {**first.get("http", {}), "listen": f"127.0.0.1:{free_port()}"}}
        nodes = [weir_node(first, name="first"), weir_node(second, name="second")]
        for node in nodes:
            wait_for(lambda node=node: 0 < len(owned(node)) < PARTITIONS, 60, lambda node=node: f"{node.name} to have its share: {owned(node)}\n{node.tail()}")
        return nodes

    return start


def owned(node) -> list[str]:
    return [p for source in node.json("/api/v1/nodes")["nodes"][0]["sources"] for p in source["partitions"]]


def test_each_node_shows_its_clients_what_the_other_writes(kraft, pair, sdk, seed):
    topic = kraft.topic("readings", PARTITIONS)
    records = list(load.fleet(seed, 20_000, 500, garbage=0))
    nodes = pair(topic)
    maps = [sdk(node.websocket, table, "map") for node in nodes for table in ("machines", "totals")]
    streams = [sdk(node.websocket, "hot", "stream") for node in nodes]
    for client in maps + streams:
        client.wait_subscribed()
    sender = Sender(kraft, topic, records, 5_000)
    sender.finish()
    expected = Expected(records)
    for client in maps:
        wanted = getattr(expected, client.table)
        wait_for(lambda client=client, wanted=wanted: client.rows() == wanted, 60, lambda client=client, wanted=wanted: differences(client.rows(), wanted))
    for client in streams:
        def entries(client=client) -> dict:
            return by_partition([event["data"] for event in client.of("publication")])
        wait_for(lambda entries=entries: entries() == expected.hot, 60, lambda entries=entries: differences(entries(), expected.hot))
    for node in nodes:
        assert node.metric("weir_gaps_total", table="machines") == 0, "a view was loaded again"


def test_no_row_goes_back_for_who_asks_one_node_and_then_the_other(kraft, pair):
    """Rows that count are read from both in turns while they change; then the first node is drained."""
    topic = kraft.topic("readings", PARTITIONS)
    nodes = pair(topic)
    stop, sent = threading.Event(), itertools.count(1)

    def produce() -> None:
        while not stop.is_set():
            n = next(sent)
            kraft.produce(topic, [Record(b"m%d" % p, b'{"machine":"m%d","site":"s","cpu":1.0,"n":%d}' % (p, n), p, 0) for p in range(PARTITIONS)])

    newest = dict.fromkeys(range(PARTITIONS), 0)

    def turns(members: list, times: int) -> None:
        for i in range(times):
            for p in range(PARTITIONS):
                node = members[i % len(members)]
                answer = node.row("machines", f"m{p}")
                n = answer.json()["n"] if answer.status_code == 200 else 0
                assert n >= newest[p], f"m{p} went back from {newest[p]} to {n} at {node.name}: {answer.status_code} {answer.text}"
                newest[p] = n

    def all_beyond(seen: dict) -> bool:
        turns(nodes[1:], 1)
        return all(newest[p] > seen[p] for p in newest)

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    try:
        turns(nodes, 200)
        assert all(newest.values()), newest
        nodes[0].process.signal(signal.SIGTERM)
        at_end = dict(newest)
        wait_for(lambda: all_beyond(at_end), 60, lambda: f"all partitions to go on: {newest}, were {at_end}")
    finally:
        stop.set()
        producer.join(30)
