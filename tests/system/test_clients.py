"""A client that goes and comes back misses nothing; one that is slow holds up nobody."""

import pytest
from harness.fleet import Expected, Sender, by_partition, differences, load, topology
from harness.raw import RawWebSocket
from harness.waiting import wait_for


def small(kraft, redis_server, weir_node, seed, count=30_000, keys=1_000):
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, count, keys, garbage=0))
    return topic, records, weir_node(topology(kraft.bootstrap, redis_server.url, topic))


@pytest.mark.parametrize("release", ["5.6", "5.7", "5.8"])
def test_a_map_subscriber_that_reconnects_ends_with_the_table(release, kraft, redis_server, weir_node, sdk, proxy, seed):
    """Told to disconnect and connect again, and cut off by the network, while rows change and go; with each release of the SDK."""
    topic, records, node = small(kraft, redis_server, weir_node, seed)
    between = proxy(node.port)
    told = sdk(node.websocket, "machines", "map", "--sdk", release)
    cut = sdk(f"ws://127.0.0.1:{between.port}/connection/websocket", "machines", "map", "--sdk", release)
    for client in (told, cut):
        client.wait_subscribed()
    sender = Sender(kraft, topic, records, 6_000)
    sender.wait_sent(8_000)
    told.say("disconnect")
    between.refuse()
    between.cut()
    told.wait_event("disconnected")
    sender.wait_sent(16_000)
    told.say("connect")
    between.refuse(False)
    sender.wait_sent(24_000)
    wait_for(lambda: between.accepted >= 2, 30, "the client to be back")
    between.cut()
    sender.finish()
    wanted = Expected(records).machines
    for client in (told, cut):
        wait_for(lambda client=client: client.rows() == wanted, 60, lambda client=client: differences(client.rows(), wanted))
    wait_for(lambda: between.accepted >= 3, 30, "the client to be back again")
    assert not differences(cut.rows(), wanted)


def test_a_stream_subscriber_that_reconnects_has_every_entry_in_order(kraft, redis_server, weir_node, sdk, proxy, seed):
    """Entries above the last position may come twice; none is left out, and each partition's come in order."""
    topic, records, node = small(kraft, redis_server, weir_node, seed)
    between = proxy(node.port)
    client = sdk(f"ws://127.0.0.1:{between.port}/connection/websocket", "hot", "stream")
    client.wait_subscribed()
    sender = Sender(kraft, topic, records, 6_000)
    for part in (1, 2):
        sender.wait_sent(part * 8_000)
        between.refuse()
        between.cut()
        sender.wait_sent(part * 8_000 + 3_000)
        between.refuse(False)
        wait_for(lambda part=part: between.accepted >= part + 1, 30, "the client to be back")
    sender.finish()
    wanted = Expected(records).hot

    def unique() -> dict:
        seen: dict = {}
        for partition, entries in by_partition([event["data"] for event in client.of("publication")]).items():
            for entry in entries:
                if entry not in seen.setdefault(partition, [])[-2000:]:
                    seen[partition].append(entry)
        return seen

    total = sum(map(len, wanted.values()))
    wait_for(lambda: len(client.of("publication")) >= total, 60, lambda: f"{total} publications, there are {len(client.of('publication'))}")
    wait_for(lambda: unique() == wanted, 30, lambda: differences(unique(), wanted))


def test_a_subscriber_survives_a_restart_of_the_node(kraft, redis_server, weir_node, restart, sdk, seed):
    """Killed and started again on the same port: the SDK finds back by itself and ends with the table."""
    topic, records, node = small(kraft, redis_server, weir_node, seed)
    client = sdk(node.websocket, "totals", "map")
    client.wait_subscribed()
    sender = Sender(kraft, topic, records, 8_000)
    sender.wait_sent(10_000)
    node.kill()
    restart(node)
    sender.finish()
    wanted = Expected(records).totals
    wait_for(lambda: client.rows() == wanted, 90, lambda: differences(client.rows(), wanted))


def test_a_subscriber_that_does_not_read_holds_up_nobody(kraft, redis_server, weir_node, sdk, seed):
    """Its socket stays full; another one and the node's memory do not notice, and it is caught up or cut off, never queued for without end."""
    topic, records, node = small(kraft, redis_server, weir_node, seed, count=60_000)
    stuck = [RawWebSocket(node.port) for _ in range(20)]
    for connection in stuck:
        assert connection.upgraded == 101
        connection.say({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "machines", "type": 1, "phase": 2, "flag": 1}})
    good = sdk(node.websocket, "machines", "map")
    good.wait_subscribed()
    before = node.process.memory_mib()
    Sender(kraft, topic, records, 20_000).finish()
    wanted = Expected(records).machines
    wait_for(lambda: good.rows() == wanted, 60, lambda: differences(good.rows(), wanted))
    grown = node.process.memory_mib() - before
    print(f"memory grew by {grown:.0f} MiB")
    assert grown < 256
    for connection in stuck:
        connection.close()


def test_subscribers_get_the_rows_they_asked_for(kraft, redis_server, weir_node, sdk, seed):
    """A condition on a field, one on the key, one key, a pace with tags, and deltas, while rows change and go."""
    topic, records, node = small(kraft, redis_server, weir_node, seed, count=12_000, keys=200)
    wanted = Expected(records).machines
    key = sorted(wanted)[0]

    def number(row, least):
        cpu = row.get("cpu")
        return isinstance(cpu, (int, float)) and not isinstance(cpu, bool) and cpu >= least

    def subscriber(table, *arguments):
        return sdk(node.websocket, table, "map", *arguments)

    cases = [
        (subscriber("machines", "--data", '{"where": {"/cpu": {"gte": 50}}}'), {k: r for k, r in wanted.items() if number(r, 50)}),
        (subscriber("machines", "--data", '{"where": {"key": {"prefix": "machine-00"}}}'), {k: r for k, r in wanted.items() if k.startswith("machine-00")}),
        (subscriber(f"machines/{key}"), {key: wanted[key]}),
        (subscriber("machines", "--data", '{"max_rate": "4/s", "tags": true}'), wanted),
        (subscriber("machines", "--delta"), wanted),
    ]
    for client, _ in cases:
        client.wait_subscribed()
    Sender(kraft, topic, records, 6_000).finish()
    for client, rows in cases:
        wait_for(lambda client=client, rows=rows: client.rows() == rows, 60, lambda client=client, rows=rows: differences(client.rows(), rows))
    paced = cases[3][0].dump()
    assert paced["updates"] < cases[4][0].dump()["updates"], "a pace leaves out what was overtaken"


def test_every_command_gets_one_reply_in_order(kraft, redis_server, weir_node):
    """Also what is no table (102), no command (104), a condition that is none (107, and it says why), the history of a log."""
    node = weir_node(topology(kraft.bootstrap, redis_server.url, kraft.topic("readings")))
    with RawWebSocket(node.port) as connection:
        connection.say({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "machines", "type": 1, "phase": 2, "data": {"where": {"cpu": 1}}}}, {"id": 3, "subscribe": {"channel": "nothing", "flag": 1}},
                       {"id": 4, "subscribe": {"channel": "totals", "type": 1, "phase": 2, "flag": 1}}, {"id": 5, "nonsense": {}},
                       {"id": 6, "history": {"channel": "hot", "limit": 0}}, {"id": 7, "subscribe": {"channel": "machines/some key", "type": 1, "phase": 2}})
        replies = connection.replies(7)
    assert [reply["id"] for reply in replies] == [1, 2, 3, 4, 5, 6, 7]
    assert replies[1]["error"]["code"] == 107 and "did you mean '/cpu'?" in replies[1]["error"]["message"]
    assert replies[5]["history"]["epoch"] and "publications" not in replies[5]["history"]
    assert "state" not in replies[6]["subscribe"] and replies[6]["subscribe"]["recoverable"]
    assert replies[2]["error"]["code"] == 102
    assert replies[3]["subscribe"]["type"] == 1 and replies[3]["subscribe"]["epoch"]
    assert replies[4]["error"]["code"] == 104
