"""Limits of http.limits on the real binary: refused, counted, and nobody else notices."""

import re

from harness.fleet import topology
from harness.ports import free_port
from harness.raw import RawConnection, RawWebSocket
from harness.waiting import wait_for


def counted(node, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", node.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0


def limited(kraft, redis_server, weir_node, **limits):
    return weir_node(topology(kraft.bootstrap, redis_server.url, kraft.topic("readings"), http={"listen": f"127.0.0.1:{free_port()}", "limits": limits}))


def test_commands_and_deadlines_of_a_session(kraft, redis_server, weir_node):
    node = limited(kraft, redis_server, weir_node, commands_per_second=10, connect="1s", handshake="1s", message="16KiB", subscriptions=2)
    with RawWebSocket(node.port) as silent, RawConnection(node.port) as dripping:
        dripping.send(b"GET / HTTP/1.1\r\nHo")
        assert silent.close_code() == 3502
        assert dripping.status() == 408
    with RawWebSocket(node.port) as busy:
        busy.say({"id": 1, "connect": {}}, *({"id": i, "ping": {}} for i in range(2, 121)))
        replies = busy.replies(120)
        assert [r["id"] for r in replies] == list(range(1, 121))
        refused = [r for r in replies if "error" in r]
        assert 15 <= len(refused) <= 20 and all(r["error"] == {"code": 111, "message": "too many requests", "temporary": True} for r in refused)
        assert counted(node, 'weir_refused_total{reason="commands"}') == len(refused)
        busy.say(*({"id": i, "ping": {}} for i in range(200, 400)))
        assert busy.close_code() == 3509
    with RawWebSocket(node.port) as long:
        long.say({"id": 1, "connect": {}}, *({"id": 2 + i, "subscribe": {"channel": name, "type": 1, "phase": 2}} for i, name in enumerate(("machines", "sites", "totals"))))
        assert long.replies(4)[3]["error"]["code"] == 106
        long.frame(b" " * 16_385)
        assert long.close_code() == 1009
    for reason in ("handshake", "message"):
        assert counted(node, f'weir_refused_total{{reason="{reason}"}}') == 1
    for code in ("3502", "3509"):
        assert counted(node, f'weir_session_closes_total{{code="{code}"}}') == 1


def test_connections_in_all_by_address_and_at_once(kraft, redis_server, weir_node):
    node = limited(kraft, redis_server, weir_node, connections_per_address=3, upgrades_per_second=2)
    node.session.close()  # its own connection counts as well
    held: list[RawWebSocket] = []

    def settled() -> bool:
        with RawConnection(node.port) as probe:
            probe.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return probe.status() == 200

    def three_held() -> bool:
        # A connection that ended is forgotten a moment later.
        one = RawWebSocket(node.port)
        if one.upgraded == 101:
            held.append(one)
        else:
            one.close()
        return len(held) == 3

    try:
        wait_for(three_held, 10, "three connections")
        with RawWebSocket(node.port) as refused:
            assert refused.upgraded == 429
    finally:
        for c in held:
            c.close()
    wait_for(settled, 10, "room again")
    # Two a second and four at once: of many that come together some are told to come later.
    statuses = []
    for _ in range(12):
        with RawWebSocket(node.port) as one:
            statuses.append(one.upgraded)
    assert 503 in statuses
    assert counted(node, 'weir_refused_total{reason="address"}') >= 1
    assert counted(node, 'weir_refused_total{reason="upgrades"}') == statuses.count(503)
