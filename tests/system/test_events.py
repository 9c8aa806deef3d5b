"""Tables as Server-Sent Events, read with curl."""

import json
import subprocess
from urllib.parse import quote

import pytest
from harness.events import EventReader
from harness.fleet import Expected, Sender, differences, load, topology
from harness.kafka import Record
from harness.ports import free_port
from harness.waiting import wait_for


@pytest.fixture
def events(tmp_path):
    """events(node, path, ...) reads a stream with curl."""
    readers: list[EventReader] = []

    def read(node, path: str, **options) -> EventReader:
        readers.append(EventReader(node.url + path, tmp_path / f"curl-{len(readers)}.log", **options))
        return readers[-1]

    yield read
    for reader in readers:
        reader.close()


def test_a_stream_ends_with_the_table_and_resumes_where_it_was_cut(kraft, redis_server, weir_node, restart, events, seed):
    """Rows change and go while curl is ended and started again with its last id; then the node itself is."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 30_000, 3_000, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    wanted = Expected(records).machines
    sender = Sender(kraft, topic, records, 6_000)
    sender.wait_sent(8_000)
    first = events(node, "/api/v1/tables/machines/stream")
    wait_for(lambda: first.done, 30, "the whole snapshot")
    assert first.kinds.count("snapshot") >= 2  # more rows than a page has
    assert first.retry and 1_000 <= first.retry <= 3_000
    wait_for(lambda: "change" in first.kinds, 30, "a change")
    first.close()
    sender.wait_sent(16_000)
    second = events(node, "/api/v1/tables/machines/stream", last_id=first.last_id, rows=first.rows)
    sender.wait_sent(24_000)
    assert "snapshot" not in second.kinds and "reset" not in second.kinds
    node.stop()
    wait_for(second.ended, 10, "the stream to end with its node")
    restart(node)
    sender.finish()
    wait_for(lambda: len(node.rows("machines")) == len(wanted), 60, "the table to be whole")
    third = events(node, "/api/v1/tables/machines/stream", last_id=second.last_id, rows=second.rows)
    wait_for(lambda: third.rows == wanted, 60, lambda: differences(third.rows, wanted))


def test_a_log_s_stream_has_every_entry_from_its_last_id_on(kraft, redis_server, weir_node, events, seed):
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 20_000, 500, garbage=0))
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    wanted = Expected(records).hot
    total = sum(map(len, wanted.values()))
    first = events(node, "/api/v1/tables/hot/stream")
    wait_for(lambda: first.last_id is not None, 30, "the first id")
    sender = Sender(kraft, topic, records, 8_000)
    wait_for(lambda: len(first.entries) > 50, 30, "entries")
    first.close()
    second = events(node, "/api/v1/tables/hot/stream", last_id=first.last_id)
    sender.finish()
    seen: dict[tuple[str, str], dict] = {}

    def all_there() -> bool:
        for entry in first.entries + second.entries:
            seen[entry["tags"]["p"], entry["tags"]["o"]] = entry["data"]
        return len(seen) >= total

    wait_for(all_there, 60, lambda: f"{total} entries, there are {len(seen)}")
    found: dict[int, list[dict]] = {}
    for (partition, _), data in sorted(seen.items(), key=lambda item: (int(item[0][0]), int(item[0][1]))):
        found.setdefault(int(partition), []).append(data)
    assert found == wanted


def test_a_position_of_another_life_is_a_reset_and_what_is_wrong_is_a_status(kraft, redis_server, weir_node, events):
    topic = kraft.topic("readings")
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic, http={"listen": f"127.0.0.1:{free_port()}", "limits": {"upgrades_per_second": 1}}))
    kraft.produce(topic, [Record(b"m", json.dumps({"machine": "m", "site": "s", "cpu": 1, "bytes": 2, "ts": 1}).encode(), 0, load.START_MS)])
    wait_for(lambda: node.rows("machines"), 30, "the row")
    lost = events(node, "/api/v1/tables/machines/stream", last_id="feed1234:17")
    wait_for(lambda: lost.done, 30, "a snapshot")
    assert lost.kinds == ["reset", "snapshot"] and list(lost.rows) == ["m"]

    def answer(path: str) -> tuple[int, dict, dict]:
        response = node.get(path, stream=True)
        return response.status_code, response.headers, {} if response.status_code == 200 else response.json()

    assert answer("/api/v1/tables/nothing/stream")[0] == 404
    assert answer("/api/v1/tables/machines/stream?limit=3")[0] == 400
    status, _, body = answer("/api/v1/tables/machines/stream?where=%7B")
    assert status == 400 and "JSON object" in body["error"]["message"]
    # Two at once, one a second: the next is told to come again.
    refused = wait_for(lambda: [a for a in (answer("/api/v1/tables/machines/stream") for _ in range(3)) if a[0] == 503], 20, "a refusal")
    assert 1 <= int(refused[0][1]["Retry-After"]) <= 10
    # curl by itself says it too.
    told = subprocess.run(["curl", "--silent", "--fail", "--max-time", "10", f"{node.url}/api/v1/tables/nothing/stream"], capture_output=True, check=False)
    assert told.returncode == 22



def test_rest_pages_by_condition_and_with_a_tag(kraft, redis_server, weir_node, events, seed):
    """`where` over REST and in a stream chooses the same rows; a page that has not changed is not sent again."""
    topic = kraft.topic("readings")
    records = list(load.fleet(seed, 5_000, 400, garbage=0))
    kraft.produce(topic, records)
    node = weir_node(topology(kraft.bootstrap, redis_server.url, topic))
    wanted = Expected(records).machines
    wait_for(lambda: node.rows("machines") == wanted, 60, "the table")
    hot = {key: row for key, row in wanted.items() if row["cpu"] > 50}
    condition = json.dumps({"/cpu": {"gt": 50}})
    assert node.json("/api/v1/tables/machines", limit=10_000, where=condition)["rows"] == hot
    stream = events(node, "/api/v1/tables/machines/stream?where=" + quote(condition) + "&max_rate=5/s")
    wait_for(lambda: stream.done, 30, "the snapshot")
    assert stream.rows == hot
    key = next(iter(hot))
    single = events(node, "/api/v1/tables/machines/stream?key=" + quote(key, safe=""))
    wait_for(lambda: single.done, 30, "the snapshot of one row")
    assert single.rows == {key: hot[key]}

    def page(tag: str | None = None):
        return node.get("/api/v1/tables/machines", params={"where": condition}, headers={"If-None-Match": tag} if tag else {})

    first = page()
    # What was produced is all there, and heartbeats have brought the watermark up: from here on nothing changes by itself.
    tag = wait_for(lambda: (seen := page().headers["ETag"]) == page().headers["ETag"] and seen, 30, "the watermark to rest")
    assert first.status_code == 200
    same = page(tag)
    assert same.status_code == 304 and not same.content and same.headers["ETag"] == tag
    assert node.get("/api/v1/tables/machines", headers={"If-None-Match": tag}).status_code == 200  # another page
    kraft.produce(topic, [Record(key.encode(), json.dumps({**hot[key], "cpu": 99.5}).encode(), load.partition_of(key.encode()), load.START_MS)])
    changed = wait_for(lambda: (answer := page(tag)).status_code == 200 and answer, 30, "another tag")
    assert wait_for(lambda: page().json()["rows"].get(key, {}).get("cpu") == 99.5, 30, "the row") and changed.headers["ETag"] != tag
    wait_for(lambda: stream.rows.get(key, {}).get("cpu") == 99.5 and single.rows[key]["cpu"] == 99.5, 30, "both streams to show it")
    assert node.get("/api/v1/tables/machines", params={"where": '{"/cpu":{"gtt":1}}'}).status_code == 400
