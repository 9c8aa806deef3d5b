"""Whatever comes over the port gets an error, or its connection closed; the node lives and serves the next one."""

import gzip
import json

import pytest
from harness.fleet import topology
from harness.raw import RawConnection, RawWebSocket
from harness.waiting import wait_for


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One node for the whole table of inputs, on embedded parts: it has to outlive them all."""
    from harness.node import Node

    made = Node(tmp_path_factory.mktemp("hostile"), topology("embedded", "embedded", "readings"), "node")
    made.start().ready()
    yield made
    try:
        assert made.stop() == 0, made.tail()
    finally:
        made.kill()


@pytest.fixture(autouse=True)
def lives(node):
    pid = node.process.pid
    yield
    assert node.alive(), node.tail()
    assert node.process.pid == pid and node.get("/healthz").status_code == 200


GET = b"GET /api/v1/tables HTTP/1.1\r\nHost: 127.0.0.1\r\n"

# What is sent, and the statuses that are a fair answer. None: closed without one.
REQUESTS = {
    "nonsense": (b"\x00\x01\x02\x03\r\n\r\n", {400, None}),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n", {400, None}),
    "no version": (b"GET /\r\n\r\n", {400, None, 505}),
    "HTTP 3.0": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", {400, 505, None}),
    "unknown method": (b"BREW /api/v1/tables HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 405, 501}),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", {400, 200}),
    "a header without a colon": (GET + b"nonsense\r\n\r\n", {400, None}),
    "a space before the colon": (GET + b"X : y\r\n\r\n", {400, None}),
    "a zero byte in a header": (GET + b"X: a\x00b\r\n\r\n", {400, None}),
    "a header of 100 KB": (GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", {400, 413, 431, None}),
    "10,000 headers": (GET + b"".join(b"X-%d: 1\r\n" % i for i in range(10_000)) + b"\r\n", {400, 413, 431, None}),
    "a path of 100 KB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 413, 414, 431, None}),
    "two lengths": (b"POST /api/v1/jobs/x/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400, None}),
    "length and chunks": (b"POST /api/v1/jobs/x/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, None}),
    "a negative length": (b"POST /api/v1/jobs/x/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", {400, None}),
    "a length beyond 64 bits": (b"POST /api/v1/jobs/x/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n", {400, 413, None}),
    "a body of 10 GB": (b"POST /api/v1/jobs/x/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000000\r\n\r\n" + b"x" * 200_000, {400, 404, 413, None}),
    "a chunk with no size": (b"POST /api/v1/jobs/x/run HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", {400, None}),
    "a broken percent": (b"GET /api/v1/tables/%zz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
    "half a percent": (b"GET /api/v1/tables/% HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
    "bad UTF-8 in the path": (b"GET /api/v1/tables/machines/rows/%ff%fe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
    "a zero byte in the path": (b"GET /api/v1/tables/machines/rows/%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
    "dots to a file": (b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 403, 404}),
    "encoded dots to a file": (b"GET /%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 403, 404}),
    "a table that is not there": (b"GET /api/v1/tables/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {404}),
    "a limit that is none": (b"GET /api/v1/tables/machines?limit=many HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400}),
    "a negative limit": (b"GET /api/v1/tables/machines?limit=-5 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400}),
    "a limit of zero": (b"GET /api/v1/tables/machines?limit=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400}),
    "a limit beyond 64 bits": (b"GET /api/v1/tables/machines?limit=99999999999999999999 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400}),
    "a cursor that is none": (b"GET /api/v1/tables/machines?cursor=%00%ff! HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400}),
    "a job that is not there": (b"POST /api/v1/jobs/nothing/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", {404}),
    "writing where only reading is": (b"DELETE /api/v1/tables/machines HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {403, 404, 405}),
    "a proxy's request": (b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", {400, 403, 404, 405, 501}),
    "an upgrade to something else": (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", {200, 400, 426}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_malformed_request_gets_an_error(node, name):
    data, fair = REQUESTS[name]
    with RawConnection(node.port, 40) as connection:
        connection.send(data)
        status = connection.status()
    assert status in fair, f"{name}: answered {status}"


def test_errors_are_json_that_says_what_is_wrong(node):
    for path, status in (("/api/v1/tables/nothing", 404), ("/api/v1/tables/machines?limit=many", 400), ("/api/v1/tables/machines/rows/nothing", 404), ("/api/v1/nothing", 404)):
        answer = node.get(path)
        assert answer.status_code == status, path
        error = answer.json()["error"]
        assert error["code"] and error["message"], path


def test_a_request_in_single_bytes_is_served_and_a_stalled_one_is_closed(node):
    with RawConnection(node.port) as slow:
        for byte in GET + b"\r\n":
            slow.send(bytes([byte]))
        assert slow.status() == 200
    with RawConnection(node.port, 60) as stalled:
        stalled.send(b"GET /healthz HTTP/1.1\r\nHost: ")
        head = stalled.read_until_closed()
        assert not head or b" 408 " in head or b" 400 " in head


def test_requests_behind_one_another_on_one_connection_are_answered_in_order(node):
    with RawConnection(node.port) as connection:
        connection.send((b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 3) + b"GET /api/v1/tables/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answers = connection.read_until_closed()
        assert answers.count(b"HTTP/1.1 200") == 3 and answers.count(b"HTTP/1.1 404") == 1
        assert answers.rindex(b"HTTP/1.1 200") < answers.index(b"HTTP/1.1 404")


CONNECT = {"id": 1, "connect": {}}

# What is sent after the handshake. A close with a code that says so, or an error reply; nothing of it may be taken.
FRAMES = {
    "an unmasked frame": lambda c: c.frame(b"{}", masked=False),
    "reserved bits": lambda c: c.frame(b"{}", reserved=4),
    "an unknown opcode": lambda c: c.frame(b"{}", opcode=3),
    "an unknown control opcode": lambda c: c.frame(b"", opcode=11),
    "a continuation of nothing": lambda c: c.frame(b"{}", opcode=0),
    "a ping of 200 bytes": lambda c: c.frame(b"x" * 200, opcode=9),
    "a fragmented ping": lambda c: c.frame(b"x", opcode=9, fin=False),
    "a length of 2^63": lambda c: c.frame(b"{}", length=2**63),
    "a length of 2^40": lambda c: c.frame(b"{}", length=2**40),
    "a message of 10 MB": lambda c: c.frame(json.dumps({"id": 1, "connect": {"data": "x" * 10_000_000}}).encode()),
    "10 MB in fragments": lambda c: [c.frame(b"x" * 50_000, opcode=1 if i == 0 else 0, fin=False) for i in range(200)],
    "bad UTF-8": lambda c: c.frame(b'{"id":1,"connect":{"name":"\xff\xfe"}}'),
    "UTF-8 cut off": lambda c: c.frame(b'{"id":1,"connect":{"name":"\xe2\x98'),
    "binary": lambda c: c.frame(gzip.compress(b"{}"), opcode=2),
    "not JSON": lambda c: c.frame(b"hello"),
    "an empty message": lambda c: c.frame(b""),
    "an array": lambda c: c.frame(b"[1]"),
    "a number": lambda c: c.frame(b"1"),
    "a command without connect": lambda c: c.say({"id": 1, "subscribe": {"channel": "machines"}}),
    "connect without id": lambda c: c.say({"connect": {}}),
    "an id of zero": lambda c: c.say({"id": 0, "connect": {}}),
    "a negative id": lambda c: c.say({"id": -1, "connect": {}}),
    "an id that is text": lambda c: c.say({"id": "1", "connect": {}}),
    "an id beyond 64 bits": lambda c: c.frame(b'{"id":99999999999999999999,"connect":{}}'),
    "connect that is no object": lambda c: c.say({"id": 1, "connect": []}),
    "deep nesting": lambda c: c.frame(b'{"id":1,"connect":{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}}"),
    "connect twice": lambda c: c.say(CONNECT, {"id": 2, "connect": {}}),
    "a close code that is none": lambda c: c.frame(b"\x00\x01", opcode=8),
    "a close reason in bad UTF-8": lambda c: c.frame(b"\x03\xe8\xff", opcode=8),
    "a close of one byte": lambda c: c.frame(b"\x03", opcode=8),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_malformed_frame_ends_its_connection_or_gets_an_error(node, name):
    with RawWebSocket(node.port, seconds=30) as connection:
        assert connection.upgraded == 101
        FRAMES[name](connection)
        answers = []
        while frame := connection.read_frame():
            if frame[0] == 8:
                code = int.from_bytes(frame[1][:2], "big") if len(frame[1]) >= 2 else 1005
                assert code in (1000, 1002, 1003, 1005, 1007, 1009, 3501, 3507, 3008) or 3500 <= code < 4000, f"{name}: closed with {code}"
                return
            if frame[0] == 1 and frame[1].strip() not in (b"", b"{}"):
                answers += [json.loads(line) for line in frame[1].splitlines() if line.strip() not in (b"", b"{}")]
                if any("error" in answer for answer in answers):
                    return
        # Ended without a close frame: fair for what is no WebSocket frame at all.


# Commands of a connected client, and the error each gets.
COMMANDS = {
    "a subscribe without channel": ({"subscribe": {}}, {102, 107}),
    "a subscribe of nothing": ({"subscribe": {"channel": ""}}, {102, 107}),
    "a channel that is a number": ({"subscribe": {"channel": 5}}, {107}),
    "a channel of 60 KB": ({"subscribe": {"channel": "x" * 60_000}}, {102, 107}),
    "a channel with a zero byte": ({"subscribe": {"channel": "machines\x00"}}, {102, 107}),
    "a table that is not there": ({"subscribe": {"channel": "nothing"}}, {102}),
    "an unknown type": ({"subscribe": {"channel": "machines", "type": 99}}, {102, 107, 108}),
    "an unknown phase": ({"subscribe": {"channel": "machines", "type": 1, "phase": 99}}, {107}),
    "a map as a stream": ({"subscribe": {"channel": "machines"}}, {107, 108, 102}),
    "a log as a map": ({"subscribe": {"channel": "hot", "type": 1, "phase": 2}}, {107, 108, 102}),
    "a cursor that is none": ({"subscribe": {"channel": "machines", "type": 1, "phase": 2, "cursor": "\x00\xff", "offset": 1, "epoch": "x"}}, {107, 112}),
    "an epoch that is a number": ({"subscribe": {"channel": "machines", "type": 1, "phase": 1, "recover": True, "offset": 1, "epoch": 7}}, {107, 112}),
    "an offset that is text": ({"subscribe": {"channel": "machines", "type": 1, "phase": 1, "recover": True, "offset": "x", "epoch": "x"}}, {107, 112}),
    "an epoch of another life": ({"subscribe": {"channel": "machines", "type": 1, "phase": 1, "recover": True, "offset": 1, "epoch": "x"}}, {112}),
    "an unsubscribe of nothing": ({"unsubscribe": {"channel": "nothing"}}, {102, 107, None}),
    "publish": ({"publish": {"channel": "machines", "data": {}}}, {103, 104, 108}),
    "rpc": ({"rpc": {"method": "x"}}, {103, 104, 108}),
    "two commands in one": ({"ping": {}, "rpc": {"method": "x"}}, {103, 104, 107, 108, None}),
    "no command": ({}, {104, 107}),
    "an unknown command": ({"nonsense": {}}, {104}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_command_gets_its_error_and_the_next_one_its_answer(node, name):
    command, fair = COMMANDS[name]
    with RawWebSocket(node.port) as connection:
        connection.say(CONNECT)
        assert "connect" in connection.replies(1)[0]
        connection.say({"id": 2, **command})
        frame = connection.read_frame()
        while frame and frame[0] == 1 and frame[1].strip() == b"{}":
            frame = connection.read_frame()
        assert frame is not None, f"{name}: ended without a word"
        if frame[0] == 8:
            assert int.from_bytes(frame[1][:2], "big") in (3501, 3507), f"{name}: closed with {frame[1]!r}"
            return
        reply = json.loads(frame[1].splitlines()[0])
        assert reply["id"] == 2
        assert reply.get("error", {}).get("code") in fair, f"{name}: {reply}"
        connection.say({"id": 3, "subscribe": {"channel": "totals", "type": 1, "phase": 2, "flag": 1}})
        assert connection.replies(1)[0]["subscribe"]["type"] == 1


def test_a_connection_that_never_speaks_is_closed(node):
    with RawWebSocket(node.port, seconds=60) as silent:
        assert silent.close_code() in (3502, 1001, 1000)


def test_a_thousand_connections_that_break_off_leave_nothing_behind(node):
    for _ in range(5):
        connections = [RawConnection(node.port) for _ in range(200)]
        for i, connection in enumerate(connections):
            connection.send((GET + b"\r\n")[: i % 40])
            connection.close()
    # our own keep-alive connection stays
    import pathlib

    sockets = lambda: sum(1 for link in pathlib.Path(f"/proc/{node.process.pid}/fd").iterdir() if _is_socket(link))
    wait_for(lambda: sockets() < 60, 60, lambda: f"sockets to be closed, {sockets()} are open")


def _is_socket(link) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except OSError:
        return False


class TestOrigin:
    """A page of another site reaches neither the WebSocket nor anything that changes something."""

    def test_a_websocket_of_another_origin_is_refused(self, node):
        for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", f"http://127.0.0.1:{node.port + 1}", f"http://evil.example:{node.port}", "garbage", ""):
            with RawWebSocket(node.port, origin=origin) as connection:
                assert connection.upgraded in (400, 403), f"{origin!r}: {connection.upgraded}"

    def test_a_websocket_of_its_own_origin_is_taken(self, node):
        for origin in (None, f"http://127.0.0.1:{node.port}"):
            with RawWebSocket(node.port, origin=origin) as connection:
                assert connection.upgraded == 101, origin

    def test_a_change_from_another_origin_is_refused(self, node):
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert node.post("/api/v1/jobs/nothing/run", headers=headers).status_code == 403
        assert node.post("/api/v1/jobs/nothing/run", headers={"Origin": node.url}).status_code == 404
