"""The package in web/client against a node: observable tables and logs, over every release of the SDK that it allows."""

import json

import pytest
from harness.fleet import Expected, Sender, by_partition, differences, load, topology
from harness.waiting import wait_for

PROGRAM = "weir-client.mjs"


def started(kraft, redis_server, weir_node, seed, count=9_000):
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, count, 500, garbage=0))
    return topic, records, weir_node(topology(kraft.bootstrap, redis_server.url, topic))


def test_a_table_ends_as_the_node_has_it_whatever_the_network_does(kraft, redis_server, weir_node, sdk, seed):
    """Cut off twice while rows change: with each release, the rows are the table's, in the order of their keys, and the batches say the same."""
    topic, records, node = started(kraft, redis_server, weir_node, seed)
    clients = [sdk(node.url, "machines", "map", "--sdk", release, program=PROGRAM) for release in ("5.6", "5.7", "5.8")]
    for client in clients:
        client.wait_subscribed()
    sender = Sender(kraft, topic, records, 4_000)
    for sent in (3_000, 6_000):
        sender.wait_sent(sent)
        for client in clients:
            client.say("drop")
    sender.finish()
    wanted = Expected(records).machines
    for client in clients:
        wait_for(lambda client=client: client.rows() == wanted, 60, lambda client=client: differences(client.rows(), wanted))
        now = client.dump()
        assert list(now["rows"]) == sorted(now["rows"])
        assert now["same"] and now["torn"] == 0, now
        assert now["state"] == "live" and not now["stale"]
        # Seen as stale for a while, and caught up: the whole table came once only.
        assert any(batch["state"] == "stale" for batch in client.of("batch"))
        assert now["resets"] == 1
        assert now["batches"] < len(records), "frames are told, not rows"


def test_a_log_has_each_entry_once_and_in_order_after_drops(kraft, redis_server, weir_node, sdk, seed):
    topic, records, node = started(kraft, redis_server, weir_node, seed)
    client = sdk(node.url, "hot", "stream", "--options", json.dumps({"limit": 50_000}), program=PROGRAM)
    client.wait_subscribed()
    sender = Sender(kraft, topic, records, 4_000)
    for sent in (3_000, 6_000):
        sender.wait_sent(sent)
        client.say("drop")
    sender.finish()
    wanted = Expected(records).hot

    def found() -> dict:
        return by_partition([entry["data"] for entry in client.dump()["entries"]])

    wait_for(lambda: found() == wanted, 60, lambda: differences(found(), wanted))
    assert client.dump()["torn"] == 0


def test_a_node_started_again_is_found_again(kraft, redis_server, weir_node, restart, sdk, seed):
    """Killed in the middle: stale meanwhile, with its last rows, then as the table is."""
    topic, records, node = started(kraft, redis_server, weir_node, seed)
    client = sdk(node.url, "totals", "map", program=PROGRAM)
    client.wait_subscribed()
    sender = Sender(kraft, topic, records, 4_000)
    sender.wait_sent(4_000)
    wait_for(lambda: client.dump()["size"] > 0, 30, "rows")
    node.kill()
    wait_for(lambda: client.dump()["stale"], 30, "the client to notice")
    assert client.dump()["rows"]
    restart(node)
    sender.finish()
    wanted = Expected(records).totals
    wait_for(lambda: client.rows() == wanted, 90, lambda: differences(client.rows(), wanted))
    assert client.dump()["torn"] == 0


@pytest.mark.parametrize("table, kind, code", [("nothing", "map", 102), ("hot", "map", 107)])
def test_what_cannot_be_followed_fails_and_says_why(kraft, redis_server, weir_node, sdk, table, kind, code):
    node = weir_node(topology(kraft.bootstrap, redis_server.url, kraft.topic("readings")))
    client = sdk(node.url, table, kind, program=PROGRAM)
    assert client.wait_event("failed")["code"] == code
    now = client.dump()
    assert now["state"] == "failed" and now["error"]["code"] == code and now["error"]["message"]
