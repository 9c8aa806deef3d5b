"""Records that are no rows go to the dead letter topic with their reason; what is valid JSON, however odd, is a row as it was sent."""

import json

from harness import load
from harness.fleet import topology
from harness.kafka import Record
from harness.waiting import wait_for

NOW = load.START_MS


def tables(kafka, redis_url, topic, dead):
    made = topology(kafka.bootstrap, redis_url, topic, dead)
    made["tables"] = {
        "rows": {"from": "readings", "kind": "latest"},
        "named": {"from": "readings", "kind": "latest", "key": "/name"},
        "sums": {"from": "readings", "kind": "aggregate", "key": "/name", "fields": {"n": "count", "x": {"sum": "/x"}, "least": {"min": "/x"}}},
        "all": {"from": "readings", "kind": "log"},
    }
    return made


def run(kraft, redis_server, weir_node, records, partitions=1):
    topic, dead = kraft.topic("readings", partitions, max_message_bytes="20000000"), kraft.topic("readings-dead", 1, max_message_bytes="20000000")
    node = weir_node(tables(kraft, redis_server.url, topic, dead))
    # The last record tells that all before it are through.
    sent = kraft.produce(topic, [*records, Record(b"end", b'{"name":"end"}', 0, NOW)])
    wait_for(lambda: node.row("rows", "end").status_code == 200, 90, lambda: f"the last record to be applied\n{node.tail()}")
    letters = {}
    for record in kraft.read_all(dead):
        headers = {name: value.decode() for name, value in record.headers}
        assert headers["weir.topic"] == topic
        place = (int(headers["weir.partition"]), int(headers["weir.offset"]))
        assert place not in letters, "a dead letter came twice"
        letters[place] = (headers["weir.reason"], record)
    return node, sent, letters


def test_each_kind_of_garbage_is_a_dead_letter_with_a_reason(kraft, redis_server, weir_node):
    """One of each; the letter carries key and value as they came, and no table has a trace of it."""
    records = [Record(f"g{i}".encode(), value, 0, NOW) for i, value in enumerate(load.GARBAGE)]
    node, sent, letters = run(kraft, redis_server, weir_node, records)
    missing = [record.value[:60] for record in sent[:-1] if (0, record.offset) not in letters]
    assert not missing, f"no dead letter for {missing}"
    assert len(letters) == len(records)
    for record in sent[:-1]:
        reason, letter = letters[(0, record.offset)]
        assert reason.strip()
        assert (letter.key, letter.value) == (record.key, record.value)
    assert node.rows("rows").keys() == {"end"}
    assert len(node.entries("all")) == 1


def test_odd_but_valid_records_are_rows_as_they_were_sent(kraft, redis_server, weir_node, layout):
    """Numbers keep their digits, duplicate members stay and the first counts, escapes and order are untouched; only line breaks go."""
    values = {
        "digits": b'{"name":"d","x":1.10,"y":1e2,"z":-0.0,"w":18446744073709551615,"v":-9223372036854775808}',
        "duplicates": b'{"name":"first","x":1,"name":"second","x":2}',
        "deep": b'{"name":"deep","a":' + b"[" * 900 + b"]" * 900 + b"}",
        "escapes": rb'{"name":"\u00e9\ud83d\ude00\n\"\\\/","x":null}',
        "wide": json.dumps({"name": "wide", **{f"k{i}": i for i in range(5000)}}).encode(),
        "spaces": b'  {"name" : "spaces" ,\t"x":3}  ',
        "lines": b'{\r\n "name": "lines",\n "x": "a\\nb"\n}\n',
        "long number": b'{"name":"n","x":0.' + b"1234567890" * 40 + b"}",
        "empty": b'{"name":"","x":{}}',
        "unicode": '{"name":"Ω ☃ 𝄞 \u2028","x":true}'.encode(),
    }
    node, _, letters = run(kraft, redis_server, weir_node, [Record(key.encode(), value, 0, NOW) for key, value in values.items()])
    assert not letters
    stored = layout(redis_server).rows("rows")
    for key, value in values.items():
        (part,) = stored[key]
        assert "\n" not in part.value and "\r" not in part.value
        if key == "lines":
            assert part.value == '{"name":"lines","x":"a\\nb"}'
        else:
            assert part.value == value.decode().strip(), key
        # REST embeds the row as it is, digit for digit.
        assert part.value in node.row("rows", key).text, key
    assert {"first", "d", "lines", "Ω ☃ 𝄞 \u2028"} <= node.rows("named").keys()
    assert "second" not in node.rows("named")
    assert node.rows("sums")["first"] == {"n": 1, "x": 1, "least": 1}


def test_a_record_too_large_is_a_dead_letter_and_one_just_below_is_a_row(kraft, redis_server, weir_node):
    """10 MB, a little above 1 MiB, and a little below."""
    below = json.dumps({"name": "below", "pad": "x" * ((1 << 20) - 100)}).encode()
    above = json.dumps({"name": "above", "pad": "x" * (1 << 20)}).encode()
    huge = json.dumps({"name": "huge", "pad": "x" * 10_000_000}).encode()
    node, sent, letters = run(kraft, redis_server, weir_node, [Record(b"huge", huge, 0, NOW), Record(b"below", below, 0, NOW), Record(b"above", above, 0, NOW)])
    assert set(letters) == {(0, sent[0].offset), (0, sent[2].offset)}
    assert all("large" in reason for reason, _ in letters.values())
    assert node.rows("rows", 2).keys() == {"below", "end"}


def test_a_record_that_does_not_fit_the_dead_letter_topic_stops_nothing(kraft, redis_server, weir_node):
    """That topic takes 1 MB a record, as by default: the letter comes without what does not fit, and reading goes on."""
    topic, dead = kraft.topic("readings", 1, max_message_bytes="20000000"), kraft.topic("readings-dead", 1)
    node = weir_node(tables(kraft, redis_server.url, topic, dead))
    huge = json.dumps({"name": "huge", "pad": "x" * 10_000_000}).encode()
    (record, _) = kraft.produce(topic, [Record(b"huge", huge, 0, NOW), Record(b"end", b'{"name":"end"}', 0, NOW)])
    wait_for(lambda: node.row("rows", "end").status_code == 200, 60, lambda: f"the record behind it to be applied\n{node.tail()}")
    (letter,) = kraft.read_all(dead)
    headers = {name: value.decode() for name, value in letter.headers}
    assert (headers["weir.partition"], headers["weir.offset"]) == ("0", str(record.offset)) and "large" in headers["weir.reason"]
    assert letter.key == b"huge"


def test_a_record_without_a_key_is_dead_for_the_table_that_needs_it_only(kraft, redis_server, weir_node):
    """One dead letter however many tables miss their key; those that find theirs take it."""
    records = [
        Record(None, b'{"name":"a","x":1}', 0, NOW), Record(b"k1", b'{"x":1}', 0, NOW), Record(b"k2", b'{"name":null}', 0, NOW), Record(b"k3", b'{"name":{"a":1}}', 0, NOW),
        Record(b"\xff\xfe", b'{"name":"b","x":1}', 0, NOW), Record(b"k" * 2000, b'{"name":"c","x":1}', 0, NOW), Record(b"k4", json.dumps({"name": "n" * 2000}).encode(), 0, NOW),
        Record(b"k5", b'{"name":7,"x":1}', 0, NOW), Record(b"k6", b'{"name":true,"x":1}', 0, NOW), Record(b"", b'{"name":"d","x":1}', 0, NOW),
    ]
    node, sent, letters = run(kraft, redis_server, weir_node, records)
    assert {offset for _, offset in letters} - {sent[9].offset} == {record.offset for record in sent[:7]}
    assert all("key" in reason for reason, _ in letters.values())
    assert node.rows("rows").keys() - {""} == {"k1", "k2", "k3", "k4", "k5", "k6", "end"}
    assert node.rows("named").keys() - {"d"} == {"a", "b", "c", "7", "true", "end"}


def test_a_tombstone_removes_its_row_and_nothing_else(kraft, redis_server, weir_node):
    """Also the tombstone of a key that was never there; tables with another key ignore it."""
    records = [Record(b"a", b'{"name":"a","x":1}', 0, NOW), Record(b"b", b'{"name":"b","x":1}', 0, NOW), Record(b"a", None, 0, NOW), Record(b"never", None, 0, NOW)]
    node, _, letters = run(kraft, redis_server, weir_node, records)
    assert not letters
    assert node.rows("rows").keys() == {"b", "end"}
    assert node.row("rows", "a").status_code == 404
    assert node.rows("named").keys() == {"a", "b", "end"}


def test_a_dead_letter_topic_that_is_not_there_holds_the_partition_and_says_so(kraft, redis_server, weir_node):
    """Nothing is skipped: once the topic exists, the letter is written and reading goes on."""
    topic, dead = kraft.topic("readings", 1), kraft.topic("unborn", 1)
    kraft.delete(dead)
    wait_for(lambda: dead not in kraft.admin.list_topics(timeout=10).topics, 30, "the topic to be gone")
    node = weir_node(tables(kraft, redis_server.url, topic, dead))
    kraft.produce(topic, [Record(b"bad", b"bad", 0, NOW), Record(b"good", b'{"name":"good"}', 0, NOW)])
    wait_for(lambda: dead in node.log() or "dead letter" in node.log(), 60, lambda: f"the log to name the trouble\n{node.tail()}")
    assert node.row("rows", "good").status_code == 404
    kraft.create(dead, 1)
    wait_for(lambda: node.row("rows", "good").status_code == 200, 120, lambda: f"reading to go on\n{node.tail()}")
    assert [letter.value for letter in kraft.read_all(dead)] == [b"bad"]
