"""Redis knows whose state it holds: another cluster, another topic behind the same name, another definition are refused, never mixed in."""

from harness import load
from harness.fleet import topology
from harness.kafka import Record
from harness.waiting import holds_for, wait_for

ROW = b'{"machine":"m","site":"s","cpu":1,"bytes":1,"ts":1,"p":0,"i":0}'


def fill(kafka, topic, count):
    kafka.produce(topic, [Record(f"k{i}".encode(), ROW, 0, load.START_MS + i) for i in range(count)])


def refuses(node, *words, seconds=40):
    """Ends with an error, or stays and is never ready; either way it says why."""
    wait_for(lambda: all(word in (node.log() + readiness(node)[1]).lower() for word in words), seconds, lambda: f"{words} to be named\n{node.tail()}")
    # It may be about to end while we ask.
    holds_for(lambda: readiness(node)[0] != 200, 2, "ready all the same")
    assert node.alive() or node.process.child.returncode != 0


def readiness(node) -> tuple[int, str]:
    try:
        answer = node.get("/readyz")
        return answer.status_code, answer.text
    except OSError:
        return 0, ""


def test_another_cluster_on_the_same_redis_is_refused(kraft, zookeeper, redis_server, weir_node, layout):
    """Same topology, same topic name, other brokers: the state is left as it was."""
    topic = kraft.topic("readings", 1)
    zookeeper.create(topic, 1)
    fill(kraft, topic, 5)
    fill(zookeeper, topic, 9)
    first = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    tables = layout(redis_server)
    wait_for(lambda: tables.positions("machines") == {0: 5}, 30, "the records to be applied")
    assert first.stop() == 0
    refuses(weir_node(topology(zookeeper.bootstrap, redis_server.url, topic), ready=False), "cluster")
    assert tables.positions("machines") == {0: 5} and len(tables.latest("machines")) == 5


def test_a_topic_made_anew_is_refused(kraft, redis_server, weir_node, restart, layout):
    """Its log is shorter than the position: going on there would skip what comes next."""
    topic = kraft.topic("readings", 1)
    fill(kraft, topic, 50)
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    tables = layout(redis_server)
    wait_for(lambda: tables.positions("machines") == {0: 50}, 30, "the records to be applied")
    assert node.stop() == 0
    kraft.delete(topic)
    wait_for(lambda: topic not in kraft.admin.list_topics(timeout=10).topics, 30, "the topic to be gone")
    kraft.create(topic, 1)
    fill(kraft, topic, 3)
    refuses(restart(node, ready=False), "readings")
    assert tables.positions("machines") == {0: 50}


def test_a_changed_definition_is_refused_with_the_difference(kraft, redis_server, weir_node):
    topic = kraft.topic("readings", 1)
    fill(kraft, topic, 5)
    made = topology(kraft.bootstrap, redis_server.url, topic)
    node = weir_node(made)
    assert node.stop() == 0
    changed = topology(kraft.bootstrap, redis_server.url, topic)
    changed["tables"]["sites"]["where"] = {"/cpu": {"lt": 10}}
    refuses(weir_node(changed, ready=False), "sites", "where")


def test_a_table_added_later_is_filled_from_the_start(kraft, redis_server, weir_node):
    """The others go on from where they are; their rows are not counted again."""
    topic = kraft.topic("readings", 2)
    fill(kraft, topic, 100)
    made = topology(kraft.bootstrap, redis_server.url, topic)
    node = weir_node(made)
    wait_for(lambda: node.rows("totals").get("s", {}).get("n") == 100, 30, "the records to be applied")
    assert node.stop() == 0
    more = topology(kraft.bootstrap, redis_server.url, topic)
    more["tables"]["added"] = {"from": "readings", "kind": "aggregate", "key": "/site", "fields": {"n": "count"}}
    node = weir_node(more)
    wait_for(lambda: node.rows("added").get("s") == {"n": 100}, 60, lambda: f"the new table to be filled: {node.rows('added')}")
    assert node.rows("totals")["s"]["n"] == 100


def test_a_redis_that_is_emptied_under_an_idle_node_ends_as_it_was(kraft, redis_server, weir_node, layout):
    """No connection breaks and no record comes: the node finds it out, says so, and has everything again."""
    topic = kraft.topic("readings", 2)
    fill(kraft, topic, 100)
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    tables = layout(redis_server)
    wait_for(lambda: sum(tables.positions("machines").values()) == 100, 30, "the records to be applied")

    def meta() -> dict[bytes, bytes]:
        return {field: value for field, value in redis_server.client().hgetall("{fleet}:meta").items() if field != b"born"}

    rows, held = tables.latest("machines"), meta()
    epoch = {t["name"]: t["epoch"] for t in node.json("/api/v1/tables")["tables"]}
    assert rows and held
    redis_server.client().flushall()
    wait_for(lambda: sum(tables.positions("machines").values()) == 100, 30, lambda: f"the records to be applied again\n{node.tail()}")
    assert tables.latest("machines") == rows and meta() == held
    wait_for(lambda: node.rows("totals").get("s", {}).get("n") == 100, 30, "the aggregate to be whole")
    assert node.metric("weir_redis_rollbacks_total") >= 1 and "lost" in node.log()
    assert {t["name"]: t["epoch"] for t in node.json("/api/v1/tables")["tables"]}["machines"] != epoch["machines"]
    assert node.get("/readyz").status_code == 200


def test_an_embedded_broker_with_an_external_redis_is_refused(redis_server, weir_node):
    """Its offsets start again with each run."""
    node = weir_node(topology("embedded", redis_server.url, "readings"), ready=False)
    refuses(node, "embedded")


def test_a_redis_that_may_drop_keys_is_refused_or_warned_about(kraft, make_redis, weir_node):
    """With eviction, rows would go and nobody would hear of it."""
    server = make_redis(arguments=("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"))
    node = weir_node(topology(kraft.bootstrap, server.url, kraft.topic("readings", 1)), ready=False)
    wait_for(lambda: "noeviction" in node.log() or "evict" in node.log(), 30, lambda: f"a word about it\n{node.tail()}")
