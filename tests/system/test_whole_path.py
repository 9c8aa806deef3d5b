"""Kafka to Redis to REST to the npm SDK: what comes out equals a fold of what went in, on both kinds of Kafka and whatever is restarted."""

import json

import pytest
from harness.fleet import Expected, Sender, by_partition, differences, load, topology
from harness.node import weir
from harness.waiting import wait_for


@pytest.fixture(params=["kraft", pytest.param("zookeeper", marks=pytest.mark.zookeeper)])
def kafka(request):
    return request.getfixturevalue(request.param)


def wait_caught_up(cluster, topic, tables, names=("machines", "sites", "totals", "hot"), seconds=90):
    """All tables' positions in Redis have reached the end of the topic; no record is left to come."""
    ends = {p: end for p, end in cluster.end_offsets(topic).items() if end > 0}
    wait_for(lambda: all(tables.positions(name).items() >= ends.items() for name in names), seconds, lambda: f"positions {tables.positions(names[0])} to reach {ends}")
    return ends


def assert_redis(tables, expected):
    assert not differences(tables.latest("machines"), expected.machines)
    assert not differences(tables.latest("sites"), expected.sites)
    stored = {p: [value for _, value in sorted(entries, key=lambda entry: entry[0])] for p, entries in tables.log("hot").items()}
    assert not differences(stored, expected.hot)
    counts = {key: sum(json.loads(part.value)["state"]["n"] for part in parts) for key, parts in tables.rows("totals").items()}
    assert not differences(counts, {key: row["n"] for key, row in expected.totals.items()})


def assert_rest(node, expected):
    assert not differences(node.rows("machines", 1000, still=True), expected.machines)
    assert not differences(node.rows("sites", 17, still=True), expected.sites)
    assert not differences(node.rows("totals", 10, still=True), expected.totals)
    assert not differences(by_partition([entry["value"] for entry in node.entries("hot")]), expected.hot)


def assert_subscriber(client, wanted, seconds=60):
    wait_for(lambda: client.rows() == wanted, seconds, lambda: f"{client.table} as the SDK sees it:\n{differences(client.rows(), wanted)}")


def dead_letters(cluster, dead):
    """(partition, offset) of the source, as often as each came, with its record."""
    found = []
    for record in cluster.read_all(dead):
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["weir.reason"].strip()
        found.append(((int(headers["weir.partition"]), int(headers["weir.offset"])), headers, record))
    return found


def assert_dead_letters(cluster, dead, topic, expected, exactly_once):
    found = dead_letters(cluster, dead)
    places = [place for place, _, _ in found]
    assert set(places) == set(expected.dead), f"missing {list(set(expected.dead) - set(places))[:3]}, too many {list(set(places) - set(expected.dead))[:3]}"
    if exactly_once:
        assert len(places) == len(set(places))
    for place, headers, record in found:
        assert headers["weir.topic"] == topic
        assert (record.key, record.value) == (expected.dead[place].key, expected.dead[place].value)


@pytest.mark.timeout(600)
def test_two_hundred_thousand_records_end_as_their_fold(kafka, redis_server, weir_node, layout, sdk, seed):
    """Subscribers that were there from the first record, REST, and Redis all show the fold; the garbage, and nothing else, is in the dead letter topic."""
    topic, dead = kafka.topic("readings"), kafka.topic("readings-dead", 1)
    records = list(load.fleet(seed, 200_000, 5_000))
    node = weir_node(topology(kafka.bootstrap, redis_server.url, topic, dead))
    machines, sites, totals = (sdk(node.websocket, name, "map") for name in ("machines", "sites", "totals"))
    hot = sdk(node.websocket, "hot", "stream")
    for client in (machines, sites, totals, hot):
        client.wait_subscribed()
    Sender(kafka, topic, records, 40_000).finish()
    expected = Expected(records)
    assert len(expected.dead) > 1500 and len(expected.machines) > 4000
    tables = layout(redis_server)
    ends = wait_caught_up(kafka, topic, tables)
    assert_redis(tables, expected)
    assert_rest(node, expected)
    for client, wanted in ((machines, expected.machines), (sites, expected.sites), (totals, expected.totals)):
        assert_subscriber(client, wanted)
    wanted = sum(map(len, expected.hot.values()))
    wait_for(lambda: len(hot.of("publication")) >= wanted, 60, lambda: f"{wanted} publications, there are {len(hot.of('publication'))}")
    assert not differences(by_partition([event["data"] for event in hot.of("publication")]), expected.hot)
    late = sdk(node.websocket, "totals", "map")
    assert_subscriber(late, expected.totals)
    assert_dead_letters(kafka, dead, topic, expected, exactly_once=True)
    # What Kafka is told never passes what Redis has, and after a clean end it is the same.
    assert node.stop() == 0
    committed = {p: offset for p, offset in kafka.committed(f"group-{topic}.readings", topic).items() if offset >= 0}
    assert committed.items() <= ends.items()


@pytest.mark.parametrize("how", ["term", "kill"])
def test_a_node_restarted_in_the_middle_changes_nothing(how, kraft, redis_server, weir_node, restart, layout, seed):
    """Three restarts while records keep coming: nothing is lost, nothing counts twice."""
    topic, dead = kraft.topic("readings"), kraft.topic("readings-dead", 1)
    records = list(load.fleet(seed, 80_000, 2_000))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic, dead))
    sender = Sender(kraft, topic, records, 8_000)
    tables = layout(redis_server)
    for part in (1, 2, 3):
        sender.wait_sent(part * 20_000)
        wait_for(lambda wanted=part * 10_000: sum(tables.positions("machines").values()) >= wanted, 60, "some records to be applied")
        if how == "term":
            assert node.stop() == 0
        else:
            node.kill()
        restart(node)
    sender.finish()
    expected = Expected(records)
    wait_caught_up(kraft, topic, tables)
    assert_redis(tables, expected)
    assert_rest(node, expected)
    assert_dead_letters(kraft, dead, topic, expected, exactly_once=how == "term")


@pytest.mark.parametrize("how", ["stop", "kill", "cut", "pause"])
def test_a_redis_that_goes_and_comes_back_changes_nothing(how, kraft, redis_server, weir_node, layout, proxy, sdk, seed):
    """Ended, killed, its connections cut, or silent for a while: the node waits, resends what is in doubt, and nothing counts twice."""
    between = proxy(redis_server.port)
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 60_000, 2_000, garbage=0))
    node = weir_node(topology(kraft.bootstrap, f"redis://127.0.0.1:{between.port}", topic))
    client = sdk(node.websocket, "totals", "map")
    client.wait_subscribed()
    sender = Sender(kraft, topic, records, 8_000)
    tables = layout(redis_server)
    for part in (1, 2, 3):
        sender.wait_sent(part * 15_000)
        if how == "stop":
            redis_server.restart()
        elif how == "kill":
            redis_server.kill()
            redis_server.start()
        elif how == "cut":
            between.cut()
        else:
            between.pause()
            sender.wait_sent(part * 15_000 + 8_000)
            between.resume()
    sender.finish()
    assert node.alive()
    expected = Expected(records)
    wait_caught_up(kraft, topic, layout(redis_server))
    node.ready()
    tables = layout(redis_server)
    assert_redis(tables, expected)
    assert_rest(node, expected)
    assert_subscriber(client, expected.totals)


def test_a_broker_restarted_in_the_middle_changes_nothing(kraft, redis_server, weir_node, layout, seed):
    """The broker ends cleanly and comes back while the node stays, which shows both in its metrics and its status."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 20_000, 1_000, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    kraft.produce(topic, records[:10_000])
    wait_caught_up(kraft, topic, layout(redis_server))
    assert node.metric("weir_kafka_up", source="readings") == 1
    kraft.term_broker()
    wait_for(lambda: node.metric("weir_kafka_up", source="readings") == 0, 60, lambda: f"the metric to say so\n{node.tail()}")
    assert "kafka NOT CONNECTED" in (shown := weir("status", node.url).stdout) and "readings (" in shown, shown
    assert node.get("/readyz").status_code == 200
    kraft.restart_broker()
    kraft.produce(topic, records[10_000:])
    wait_caught_up(kraft, topic, layout(redis_server), seconds=120)
    wait_for(lambda: node.metric("weir_kafka_up", source="readings") == 1, 30, lambda: f"the metric to say so\n{node.tail()}")
    wait_for(lambda: node.json("/api/v1/nodes")["nodes"][0]["sources"][0]["message"] == "", 60, "the trouble to be taken back")
    expected = Expected(records)
    assert_redis(layout(redis_server), expected)
    assert_rest(node, expected)
