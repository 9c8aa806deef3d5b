"""Connections that end again and again while tables change: no row goes back, no entry is missed or out of order, and in the end all is there."""

import random
import subprocess
import time

from harness.fleet import Expected, Sender, differences, load, topology
from harness.sdk import PROGRAMS
from harness.waiting import wait_for


def started(kraft, redis, weir_node, seed, count, keys=400):
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, count, keys, garbage=0))
    return topic, records, weir_node(topology(kraft.bootstrap, redis.url, topic))


def settled(client, wanted: Expected, seconds: float = 60) -> dict:
    """What the judge saw, once the client has everything."""
    last: dict = {}

    def all_there() -> bool:
        last.update(client.dump())
        return last["rows"] == wanted.machines and {int(p): entries for p, entries in last["partitions"].items()} == wanted.hot

    def what() -> str:
        return f"{differences(last['rows'], wanted.machines)}\n{differences({int(p): e for p, e in last['partitions'].items()}, wanted.hot)}\n{last['map']} {last['stream']}"

    wait_for(all_there, seconds, what)
    return last


def assert_lawful(seen: dict) -> None:
    assert seen["map"]["problems"] == []
    assert seen["stream"]["problems"] == []


def test_the_judge_blames_what_is_unlawful():
    done = subprocess.run(["node", "--test", str(PROGRAMS / "judge.test.mjs")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "# pass 6" in done.stdout, done.stdout + done.stderr


def test_fifty_drops_at_random_moments_lose_and_reorder_nothing(kraft, redis_server, weir_node, sdk, seed):
    """Handshakes and catching up are hit as well; with each release of the SDK, side by side."""
    topic, records, node = started(kraft, redis_server, weir_node, seed, 30_000)
    clients = [sdk(node.websocket, "machines", "map", "--stream", "hot", "--sdk", release, "--seed", str(seed % 1_000_000 + number), program="drops.mjs")
               for number, release in enumerate(("5.6", "5.7", "5.8"))]
    for client in clients:
        client.wait_event("subscribed")
    sender = Sender(kraft, topic, records, 2_500)
    for client in clients:
        client.say("begin")
    sender.finish()
    wanted = Expected(records)
    for client in clients:
        assert client.wait_event("done", 90)["drops"] == 50
        seen = settled(client, wanted)
        assert_lawful(seen)
        assert seen["stream"]["lost"] == 0, "a log that is held in memory recovers"
        assert seen["stream"]["recovered"] >= 10, seen["stream"]
        # Nearly every return went on from a position: the table is small, and would come whole otherwise.
        assert seen["map"]["syncs"] < 25, seen["map"]


def test_pages_whose_network_breaks_fifty_times_end_with_the_table(kraft, redis_server, weir_node, sdk, proxy, seed):
    """Chromium behind a proxy that resets its connections at random moments; with each release of the SDK, side by side."""
    topic, records, node = started(kraft, redis_server, weir_node, seed, 30_000)
    releases = ("5.6", "5.7", "5.8")
    proxies = [proxy(node.port) for _ in releases]
    pages = [sdk(f"http://127.0.0.1:{between.port}", "machines", "map", "--stream", "hot", "--sdk", release, program="page.mjs") for between, release in zip(proxies, releases)]
    for page in pages:
        page.wait_event("subscribed", 60)
    random_moments = random.Random(seed)
    sender = Sender(kraft, topic, records, 2_500)
    for _ in range(50):
        before = [between.accepted for between in proxies]
        for between in proxies:
            between.cut()
        wait_for(lambda before=before: all(between.accepted > count for between, count in zip(proxies, before)), 30, "the pages to be back")
        # Some of the next ones hit a handshake or a catch-up, some a page that is live again.
        if random_moments.random() < 0.5:
            wait_for(lambda: all(page.dump()["ready"] for page in pages), 30, "all to be live again")
        time.sleep(random_moments.random() * 0.1)  # at a random moment: what is cut off then is the point, and nothing is waited for
    sender.finish()
    wanted = Expected(records)
    for page in pages:
        seen = settled(page, wanted)
        assert_lawful(seen)
        assert seen["stream"]["lost"] == 0 and seen["ready"]
        assert seen["stream"]["recovered"] >= 10, seen["stream"]


def test_the_server_asks_for_a_new_subscription_and_gets_it(kraft, make_redis, weir_node, sdk, seed):
    """A Redis that lost acknowledged writes starts another history of its tables: clients are sent 2500 and start over without a new connection."""
    redis = make_redis(aof=False)
    topic, records, node = started(kraft, redis, weir_node, seed, 8_000)
    client = sdk(node.websocket, "machines", "map", "--stream", "hot", "--drops", "0", program="drops.mjs")
    client.wait_event("subscribed")
    half = len(records) // 2
    kraft.produce(topic, records[:half])
    settled(client, Expected(records[:half]))
    redis.client().save()
    kraft.produce(topic, records[half:])
    wanted = Expected(records)
    settled(client, wanted)
    redis.kill()
    redis.start()  # with what was there at the save
    wait_for(lambda: len(client.dump()["asked"]) >= 2, 60, lambda: f"both subscriptions to be asked for anew: {client.dump()['asked']}")
    assert set(client.dump()["asked"]) == {2500}
    # The owner reads the lost records again; the table ends as before, and rows on the way there may be older ones.
    last: dict = {}

    def equal() -> bool:
        last.update(client.dump())
        return last["rows"] == wanted.machines

    wait_for(equal, 60, lambda: differences(last["rows"], wanted.machines))
    assert {int(p): entries for p, entries in last["partitions"].items()} == wanted.hot
