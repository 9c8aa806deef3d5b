"""Tokens on the real binary: who gets in, for how long, and to which tables; by the SDK, by REST and by the commands."""

import contextlib
import json
from urllib.parse import quote

import pytest
from harness.events import EventReader
from harness.fleet import Expected, Sender, differences, load, topology
from harness.kafka import Record
from harness.node import weir
from harness.ports import free_port
from harness.raw import RawWebSocket
from harness.tokens import SECRET, Signer, jwks, token
from harness.waiting import wait_for


@pytest.fixture
def guarded(kraft, redis_server, weir_node, tmp_path):
    """guarded(leeway=..., access={...}) starts a node that asks for tokens; its REST session is an operator's."""

    def start(access: dict[str, str] | None = None, **jwt):
        topic = kraft.topic("readings")
        made = topology(kraft.bootstrap, redis_server.url, topic)
        for table, who in (access or {}).items():
            made["tables"][table]["access"] = who
        (tmp_path / "secret").write_text(SECRET + "\n", encoding="utf-8")
        made["http"] = {"listen": f"127.0.0.1:{free_port()}", "auth": {"jwt": jwt or {"keys": [{"alg": "HS256", "secret": {"file": "secret"}}]}}}
        node = weir_node(made)
        node.session.headers["Authorization"] = "Bearer " + token(admin=True)
        return topic, node

    return start


def keys(**more) -> dict:
    return {"keys": [{"alg": "HS256", "secret": {"file": "secret"}}], **more}


def status(node, path: str, bearer: str | None = None, method: str = "GET") -> int:
    headers = {"Authorization": None if bearer is None else f"Bearer {bearer}"}
    return node.session.request(method, node.url + path, headers=headers, timeout=60).status_code


def test_the_sdk_renews_its_token_and_comes_back_with_a_new_one(kraft, guarded, sdk, tmp_path, seed):
    """One renews in time and nobody notices; one is late, is closed with 3005, finds its old token expired (109), and comes back with a new one."""
    topic, node = guarded(**keys(leeway="0s"))
    records = list(load.fleet(seed, 2_000, 100, garbage=0))
    early, late = tmp_path / "early", tmp_path / "late"
    for file in (early, late):
        file.write_text(token("machines", seconds=8), encoding="utf-8")
    in_time = sdk(node.websocket, "machines", "map", "--token-file", str(early), "--quiet")
    too_late = sdk(node.websocket, "machines", "map", "--token-file", str(late), "--quiet")
    for client in (in_time, too_late):
        client.wait_subscribed()
    early.write_text(token("machines"), encoding="utf-8")
    in_time.wait_event("token", count=2)
    wait_for(lambda: any(event["code"] == 3005 for event in too_late.of("connecting")), 20, lambda: f"3005, has {too_late.events[-5:]}")
    wait_for(lambda: any(event["code"] == 109 for event in too_late.of("error")), 20, lambda: f"error 109, has {too_late.events[-5:]}")
    late.write_text(token("machines"), encoding="utf-8")
    too_late.wait_event("connected", count=2)
    Sender(kraft, topic, records, 20_000).finish()
    wanted = Expected(records).machines
    for client in (in_time, too_late):
        wait_for(lambda client=client: client.rows() == wanted, 60, lambda client=client: differences(client.rows(), wanted))
    assert len(in_time.of("connected")) == 1 and not in_time.of("disconnected")
    assert node.metric("weir_auth_failures_total", reason="expired") >= 1
    assert node.metric("weir_session_closes_total", code="3005") == 1


def test_a_page_renews_its_token_and_subscribes_anew_where_the_new_one_permits_other_rows(kraft, guarded, sdk, tmp_path, seed):
    """In Chromium: the second token permits the same, and nobody notices; the third one site's rows only, which the server asks to be subscribed to anew (2500)."""
    topic, node = guarded()
    records = list(load.fleet(seed, 500, 30, garbage=0))
    Sender(kraft, topic, records, 5_000).finish()
    wanted = Expected(records).machines
    site = sorted(row["site"] for row in wanted.values())[0]
    given = tmp_path / "given"
    given.write_text(token("machines", "hot", seconds=8), encoding="utf-8")  # a slow browser has the leeway besides
    page = sdk(node.url, "machines", "map", "--stream", "hot", "--token-file", str(given), program="page.mjs")
    page.wait_event("subscribed", 60)
    wait_for(lambda: page.dump()["rows"] == wanted, 30, lambda: differences(page.dump()["rows"], wanted))
    wait_for(lambda: page.dump()["tokens"] >= 2, 20, "a renewal")
    seen = page.dump()
    assert seen["asked"] == [] and seen["connected"] == 1 and seen["ready"], seen
    given.write_text(token({"table": "machines", "where": {"/site": site}}, "hot"), encoding="utf-8")
    some = {key: row for key, row in wanted.items() if row["site"] == site}
    wait_for(lambda: page.dump()["rows"] == some, 30, lambda: differences(page.dump()["rows"], some))
    seen = page.dump()
    assert seen["asked"] == [2500] and seen["connected"] == 1, seen


@pytest.mark.parametrize("release", ["5.6", "5.7", "5.8"])
def test_each_sdk_renews_in_time_and_comes_back_when_its_key_is_taken_out(guarded, sdk, tmp_path, release):
    """Revocation: the sessions of a key that is gone are closed with 3005, and the SDK comes back with what getToken gives then."""
    keys_file, given = tmp_path / "jwks.json", tmp_path / "given"
    following = SECRET + "2"
    jwks(keys_file, one=SECRET, two=following)
    _, node = guarded(jwks="jwks.json", leeway="0s")
    node.session.headers["Authorization"] = "Bearer " + token(admin=True, kid="two", secret=following)
    given.write_text(token("machines", kid="one", seconds=5), encoding="utf-8")
    client = sdk(node.websocket, "machines", "map", "--token-file", str(given), "--quiet", "--sdk", release)
    client.wait_subscribed()
    given.write_text(token("machines", kid="one"), encoding="utf-8")
    client.wait_event("token", count=2)
    wait_for(lambda: node.metric("weir_sessions") == 1, 10, "the session")
    given.write_text(token("machines", kid="two", secret=following), encoding="utf-8")
    jwks(keys_file, two=following)
    client.wait_event("connected", count=2)
    assert [event["code"] for event in client.of("connecting")][:2] == [0, 3005] and not client.of("disconnected")
    assert node.metric("weir_session_closes_total", code="3005") == 1


def test_a_session_without_a_good_token_is_told_so_for_good(guarded, sdk):
    """None where no table is public is error 101, a bad one closes with 3500; neither is tried again."""
    _, node = guarded()
    for arguments, code in (((), 101), (("--token", token("machines", secret="another-secret-of-at-least-32-bytes")), 3500)):
        client = sdk(node.websocket, "machines", "map", *arguments)
        assert client.wait_event("disconnected")["code"] == code
    assert node.metric("weir_auth_failures_total", reason="missing") >= 1
    assert node.metric("weir_auth_failures_total", reason="signature") == 1


def test_a_subscription_needs_its_permission(guarded, sdk):
    """`claims` by name, `authenticated` with any token, `public` without one; the rest is error 103, which is final."""
    _, node = guarded({"sites": "authenticated", "totals": "public"})
    good = token("machines")
    for table, arguments in (("machines", ("--token", good)), ("sites", ("--token", good)), ("totals", ("--token", good)), ("totals", ())):
        sdk(node.websocket, table, "map", *arguments).wait_subscribed()
    for table, kind, arguments in (("hot", "stream", ("--token", good)), ("machines", "map", ()), ("sites", "map", ()), ("machines", "map", ("--token", token("machines/m-1")))):
        client = sdk(node.websocket, table, kind, *arguments)
        assert client.wait_event("unsubscribed")["code"] == 103
    assert node.metric("weir_auth_failures_total", reason="denied") == 4


def test_the_package_for_applications_shows_what_a_token_permits(kraft, guarded, sdk, tmp_path, seed):
    """Its getToken is asked; what is not permitted fails with 103, a bad token with 3500, and a table that a new token does not permit any more fails then."""
    topic, node = guarded()
    records = list(load.fleet(seed, 500, 30, garbage=0))
    Sender(kraft, topic, records, 5_000).finish()
    everything = Expected(records).machines
    site = sorted(row["site"] for row in everything.values())[0]

    def client(name: str, table: str, given: str):
        (tmp_path / name).write_text(given, encoding="utf-8")
        return sdk(node.url, table, "map", "--token-file", str(tmp_path / name), program="weir-client.mjs")

    some = client("some", "machines", token({"table": "machines", "where": {"/site": site}}))
    losing = client("losing", "machines", token("machines", seconds=6))
    assert client("other", "sites", token("machines")).wait_event("failed")["code"] == 103
    assert client("forged", "machines", token("machines", secret="another-secret-of-at-least-32-bytes")).wait_event("failed")["code"] == 3500
    for one in (some, losing):
        one.wait_subscribed()
    (tmp_path / "losing").write_text(token("sites"), encoding="utf-8")
    wait_for(lambda: losing.dump().get("error"), 30, "the table to be lost")
    assert losing.dump()["error"]["code"] == 2000
    assert some.rows() == {key: row for key, row in everything.items() if row["site"] == site}


def test_a_refreshed_token_takes_away_what_it_does_not_permit(guarded):
    _, node = guarded()
    with RawWebSocket(node.port) as connection:
        connection.say({"id": 1, "connect": {"token": token("machines", "totals")}}, *({"id": i, "subscribe": {"channel": table, "type": 1, "phase": 2}} for i, table in ((2, "machines"), (3, "totals"))))
        replies = connection.replies(3)
        assert replies[0]["connect"]["expires"] is True and 3590 <= replies[0]["connect"]["ttl"] <= 3600
        connection.say({"id": 4, "refresh": {"token": token("totals", seconds=100)}})
        refreshed, push = connection.replies(2)
        assert refreshed["refresh"]["expires"] is True and refreshed["refresh"]["ttl"] <= 100
        assert push["push"]["channel"] == "machines" and push["push"]["unsubscribe"]["code"] == 2000
        connection.say({"id": 5, "subscribe": {"channel": "machines", "type": 1, "phase": 2}})
        assert connection.replies(1)[0]["error"]["code"] == 103
        connection.say({"id": 6, "refresh": {"token": token("totals", sub="bert")}})
        assert connection.close_code() == 3500


def test_a_token_for_some_rows_shows_those_and_no_others(kraft, guarded, sdk, tmp_path, seed):
    """A condition in the claim is put upon the table, upon what the client asks for itself, and upon a single key; a new token with another one starts the client over."""
    topic, node = guarded()
    records = list(load.fleet(seed, 3_000, 60, garbage=0))
    everything = Expected(records).machines
    site, other = sorted({row["site"] for row in everything.values()})[:2]

    def at(*sites: str) -> dict:
        return {key: row for key, row in everything.items() if row["site"] in sites}

    def only(name: str, **more) -> str:
        return token({"table": "machines", "where": {"/site": name}}, **more)

    key = sorted(at(site))[0]
    changing = tmp_path / "changing"
    changing.write_text(only(site, seconds=12), encoding="utf-8")
    clients = [
        (sdk(node.websocket, "machines", "map", "--token", only(site)), at(site)),
        (sdk(node.websocket, "machines", "map", "--token", only(site), "--data", f'{{"where": {{"/site": "{other}"}}}}'), {}),
        (sdk(node.websocket, f"machines/{key}", "map", "--token", token(f"machines/{key}")), {key: everything[key]}),
        (sdk(node.websocket, f"machines/{key}", "map", "--token", only(other)), {}),
        (sdk(node.websocket, "machines", "map", "--token", token("machines/*"), "--data", f'{{"where": {{"key": {{"in": ["{key}"]}}}}}}'), {key: everything[key]}),
        (sdk(node.websocket, "machines", "map", "--token-file", str(changing)), at(other)),
    ]
    for client, _ in clients:
        client.wait_subscribed()
    changing.write_text(only(other), encoding="utf-8")
    Sender(kraft, topic, records, 2_000).finish()
    for client, wanted in clients:
        wait_for(lambda client=client, wanted=wanted: client.rows() == wanted, 60, lambda client=client, wanted=wanted: differences(client.rows(), wanted))


def test_rest_asks_for_the_right_token(guarded):
    """401 without a good one, with a hint; 403 with one that has not got the right; open are health and the page."""
    _, node = guarded({"totals": "public"})
    some, operator = token("machines", "sites/x", "hot/x"), token(admin=True)
    for path in ("/healthz", "/readyz", "/"):
        assert status(node, path) == 200
    for path in ("/api/v1/nodes", "/api/v1/topology", "/api/v1/jobs", "/metrics"):
        assert [status(node, path), status(node, path, "x.y.z"), status(node, path, some), status(node, path, operator)] == [401, 401, 403, 200], path
    assert [status(node, "/api/v1/jobs/x/run", bearer, "POST") for bearer in (None, some, operator)] == [401, 403, 404]
    assert [status(node, "/api/v1/tables/totals", bearer) for bearer in (None, some, operator, "x.y.z")] == [200, 200, 200, 401]
    assert [status(node, "/api/v1/tables/machines", bearer) for bearer in (None, some, operator)] == [401, 200, 200]
    assert [status(node, "/api/v1/tables/sites", bearer) for bearer in (None, some, operator)] == [401, 403, 200]
    assert [status(node, "/api/v1/tables/nothing", bearer) for bearer in (None, some, operator)] == [401, 403, 404]
    refused = node.session.get(node.url + "/api/v1/nodes", headers={"Authorization": None}, timeout=60)
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="weir"' and refused.json()["error"]["code"] == "unauthorized"
    refused = node.session.get(node.url + "/api/v1/nodes", headers={"Authorization": f"Bearer {token(admin=True, seconds=-100)}"}, timeout=60)
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"] and "expired" in refused.json()["error"]["message"]

    def listed(bearer: str | None) -> dict:
        answer = node.session.get(node.url + "/api/v1/tables", headers={"Authorization": bearer and f"Bearer {bearer}"}, timeout=60).json()
        return {table["name"]: table["rows"] for table in answer["tables"]}

    assert set(listed(None)) == {"totals"}
    assert set(listed(operator)) == {"machines", "sites", "totals", "hot"}
    seen = listed(some)
    assert set(seen) == {"machines", "totals", "sites"} and seen["sites"] is None and seen["machines"] is not None, "a log has no keys"


def test_public_keys_verify_and_are_nothing_else(guarded, tmp_path):
    """RS256 by a PEM file, ES256 by a key set. Its algorithm comes with the key: a public key is no secret that everybody could sign with."""
    with Signer("RS256", "rsa") as rsa, Signer("ES256", "ec") as ec, Signer("ES256", "ec") as stranger:
        (tmp_path / "rsa.pem").write_text(rsa.pem, encoding="utf-8")
        jwks(tmp_path / "jwks.json", ec.jwk)
        _, node = guarded(keys=[{"kid": "rsa", "alg": "RS256", "public_key": {"file": "rsa.pem"}}], jwks="jwks.json", audience="weir", issuer="https://login.example.org")
        good = {"admin": True, "aud": ["weir", "others"], "iss": "https://login.example.org"}
        path = "/api/v1/nodes"
        node.session.headers["Authorization"] = "Bearer " + rsa.token(**good)
        for signer in (rsa, ec):
            assert status(node, path, signer.token(**good)) == 200
            for wrong in ({"aud": "others"}, {"iss": "https://elsewhere.example.org"}, {"seconds": -60}, {"nbf": 4_000_000_000}):
                assert status(node, path, signer.token(**{**good, **wrong})) == 401, wrong
        assert status(node, path, stranger.token(**good)) == 401
        for alg in ("HS256", "RS256", "none", "None"):
            assert status(node, path, token(kid="rsa", secret=rsa.pem, alg=alg, **good)) == 401, alg
        head, body, signature = ec.token(**good).split(".")
        assert status(node, path, f"{head}.{body}.") == status(node, path, f"{head}.{body}.{signature[:-4]}") == 401
        for reason in ("audience", "issuer", "expired", "not_yet", "algorithm", "signature"):
            assert node.metric("weir_auth_failures_total", reason=reason) >= 1, reason


def test_other_rows_are_not_even_known_by_their_keys(kraft, guarded, seed):
    """Whoever resumes from before anybody kept its rows apart would be told of all other rows that they went: it starts over instead."""
    topic, node = guarded()
    records = list(load.fleet(seed, 500, 40, garbage=0))
    everything = Expected(records).machines
    site = sorted(row["site"] for row in everything.values())[0]
    mine = {key for key, row in everything.items() if row["site"] == site}
    Sender(kraft, topic, records[:250], 5_000).finish()
    wait_for(lambda: node.rows("machines") == Expected(records[:250]).machines, 30, "the first half")
    subscribe = {"channel": "machines", "type": 1, "phase": 2}
    with RawWebSocket(node.port) as operator, RawWebSocket(node.port) as client:
        operator.say({"id": 1, "connect": {"token": token(admin=True)}}, {"id": 2, "subscribe": subscribe})
        position = operator.replies(2)[1]["subscribe"]["offset"]
        Sender(kraft, topic, records[250:], 5_000).finish()
        wait_for(lambda: node.rows("machines") == everything, 30, "the rest")
        client.say({"id": 1, "connect": {"token": token({"table": "machines", "where": {"/site": site}})}}, {"id": 2, "subscribe": subscribe})
        state = client.replies(2)[1]["subscribe"]
        assert {row["key"] for row in state["state"]} == mine
        client.say({"id": 3, "unsubscribe": {"channel": "machines"}})
        client.replies(1)
        client.say({"id": 4, "subscribe": {**subscribe, "phase": 1, "recover": True, "epoch": state["epoch"], "offset": position}})
        assert client.replies(1)[0]["error"]["code"] == 112


def test_each_of_many_users_is_told_of_rows_that_become_theirs_or_do_not_stay(kraft, guarded):
    """More of them than conditions of other forms are taken at a time."""
    topic, node = guarded()
    users = 600

    def give(to) -> None:
        kraft.produce(topic, [Record(b"row-%d" % i, b'{"machine":"row-%d","owner":"user-%d"}' % (i, to(i)), i % 4, 1000 + i) for i in range(users)])
        wait_for(lambda: {key: row.get("owner") for key, row in node.rows("machines").items()} == {f"row-{i}": f"user-{to(i)}" for i in range(users)}, 30, "the rows")

    give(lambda i: i)
    with contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(RawWebSocket(node.port)) for _ in range(users)]
        for number, client in enumerate(clients):
            client.say({"id": 1, "connect": {"token": token({"table": "machines", "where": {"/owner": f"user-{number}"}})}}, {"id": 2, "subscribe": {"channel": "machines", "type": 1, "phase": 2}})
        for number, client in enumerate(clients):
            assert [row["key"] for row in client.replies(2)[1]["subscribe"]["state"]] == [f"row-{number}"]
        give(lambda i: (i + 1) % users)
        for number, client in enumerate(clients):
            told = {}
            while len(told) < 2:
                told |= {part["push"]["pub"]["key"]: part["push"]["pub"] for part in client.replies(1)}
            assert told.keys() == {f"row-{number}", f"row-{(number - 1) % users}"}
            assert told[f"row-{number}"]["removed"] and told[f"row-{(number - 1) % users}"]["data"]["owner"] == f"user-{number}"


def test_a_log_shows_the_permitted_entries_live_by_recovery_and_by_history(kraft, guarded, seed):
    topic, node = guarded()
    records = list(load.fleet(seed, 3_000, 60, garbage=0))
    entries = [entry for partition in Expected(records).hot.values() for entry in partition]
    site = sorted(entry["site"] for entry in entries)[0]
    wanted = sorted(json.dumps(entry, sort_keys=True) for entry in entries if entry["site"] == site)

    def texts(publications: list[dict]) -> list[str]:
        return sorted(json.dumps(publication["data"], sort_keys=True) for publication in publications)

    with RawWebSocket(node.port) as client:
        client.say({"id": 1, "connect": {"token": token({"table": "hot", "where": {"/site": site}})}}, {"id": 2, "subscribe": {"channel": "hot"}})
        at = client.replies(2)[1]["subscribe"]
        Sender(kraft, topic, records, 5_000).finish()
        live: list[dict] = []
        while len(live) < len(wanted):
            live += [push["push"]["pub"] for push in client.replies(1)]
        assert texts(live) == wanted
        wait_for(lambda: len(node.entries("hot")) == len(entries), 30, "all entries")
        client.say({"id": 3, "unsubscribe": {"channel": "hot"}})
        client.replies(1)

        def history() -> list[str]:
            client.say({"id": 4, "history": {"channel": "hot", "limit": 1000}})
            return texts(client.replies(1)[0]["history"].get("publications", []))

        wait_for(lambda: history() == wanted, 30, "the watermark to reach the newest entry, which history ends at")
        client.say({"id": 5, "subscribe": {"channel": "hot", "recover": True, "epoch": at["epoch"], "offset": at["offset"]}})
        assert texts(client.replies(1)[0]["subscribe"]["publications"]) == wanted


def test_rest_shows_the_permitted_rows_and_no_others(kraft, guarded, seed):
    """By page, by row, of a log, and together with a condition of one's own. A row that must not be seen is not there."""
    topic, node = guarded()
    records = list(load.fleet(seed, 3_000, 60, garbage=0))
    expected = Expected(records)
    Sender(kraft, topic, records, 10_000).finish()
    entries = [entry for partition in expected.hot.values() for entry in partition]
    wait_for(lambda: node.rows("machines") == expected.machines and len(node.entries("hot")) == len(entries), 60, "the tables")
    site = sorted(entry["site"] for entry in entries)[0]
    some = token({"table": "machines", "where": {"/site": site}}, {"table": "hot", "where": {"/site": site}}, "totals/a-*", f"totals/{site}")

    def asked(path: str, bearer: str = some, **parameters):
        return node.get(path, headers={"Authorization": f"Bearer {bearer}"}, params=parameters)

    mine = {key: row for key, row in expected.machines.items() if row["site"] == site}
    other = next(key for key in expected.machines if key not in mine)
    assert asked("/api/v1/tables/machines").json()["rows"] == mine and mine
    machines = asked("/api/v1/tables/machines", where=json.dumps({"any": [{"/cpu": {"gte": 50}}, {"/site": {"ne": site}}]})).json()["rows"]
    assert machines == {key: row for key, row in mine.items() if row["cpu"] >= 50}
    assert asked("/api/v1/tables/machines", token(admin=True), where=json.dumps({"/site": site}), limit=10_000).json()["rows"] == mine
    key = next(iter(mine))
    assert asked(f"/api/v1/tables/machines/rows/{quote(key, safe='')}").json() == mine[key]
    hidden, absent = asked(f"/api/v1/tables/machines/rows/{quote(other, safe='')}"), asked("/api/v1/tables/machines/rows/nothing")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["error"]["message"] == absent.json()["error"]["message"]
    shown = [entry["value"] for entry in asked("/api/v1/tables/hot", limit=10_000).json()["entries"]]
    by_text = {json.dumps(entry, sort_keys=True) for entry in entries if entry["site"] == site}
    assert {json.dumps(entry, sort_keys=True) for entry in shown} == by_text
    assert asked(f"/api/v1/tables/totals/rows/{site}").status_code == 200
    assert asked("/api/v1/tables/totals/rows/other").status_code == asked("/api/v1/tables/totals").status_code == 403
    assert set(asked("/api/v1/tables/totals", where=json.dumps({"key": site})).json()["rows"]) == {site}
    assert asked("/api/v1/tables/totals", where=json.dumps({"key": {"prefix": "a"}})).status_code == 403
    assert asked("/api/v1/tables/machines", where='{"/cpu":{"gtt":1}}').status_code == 400


def test_event_streams_show_the_permitted_rows_and_end_with_the_token(kraft, guarded, tmp_path, seed):
    """The bearer token counts, for as long as it does; what it permits holds for the snapshot, for changes and for a resumption."""
    topic, node = guarded(**keys(leeway="0s"))
    records = list(load.fleet(seed, 2_000, 60, garbage=0))
    expected = Expected(records)
    entries = [entry for partition in expected.hot.values() for entry in partition]
    site = sorted(entry["site"] for entry in entries)[0]
    mine = {key: row for key, row in expected.machines.items() if row["site"] == site}
    some = token({"table": "machines", "where": {"/site": site}}, {"table": "hot", "where": {"/site": site}}, "totals/*")
    readers: list[EventReader] = []

    def stream(path: str, bearer: str = some, **more) -> EventReader:
        readers.append(EventReader(f"{node.url}/api/v1/tables/{path}", tmp_path / f"events-{len(readers)}.log", headers=(f"Authorization: Bearer {bearer}",), **more))
        return readers[-1]

    try:
        for path, bearer, wanted in (("machines", None, 401), ("machines", "x.y.z", 401), ("machines", token("sites"), 403), ("nowhere", token("sites"), 403), ("totals", some, 403), ("nowhere", token(admin=True), 404)):
            assert status(node, f"/api/v1/tables/{path}/stream", bearer) == wanted, (path, wanted)
        Sender(kraft, topic, records[:1_000], 5_000).finish()
        live, own, log = stream("machines/stream"), stream("machines/stream?where=" + quote('{"/cpu":{"gte":50}}')), stream("hot/stream")
        one = stream("totals/stream?key=" + quote(site))
        ending = stream("machines/stream", token("machines", seconds=2))
        wait_for(lambda: live.done and own.done and one.done and ending.done, 30, "the snapshots")
        Sender(kraft, topic, records[1_000:], 5_000).finish()
        wait_for(lambda: live.rows == mine, 30, lambda: differences(live.rows, mine))
        wait_for(lambda: own.rows == {key: row for key, row in mine.items() if row["cpu"] >= 50}, 30, "those of its own condition")
        wait_for(lambda: set(one.rows) == {site}, 30, "the one key")
        assert {entry["data"]["site"] for entry in log.entries} <= {site}
        resumed = stream("machines/stream", last_id=live.last_id, rows=dict(live.rows))
        wait_for(lambda: resumed.rows == mine, 30, "a resumption to have the rows")
        wait_for(ending.ended, 40, "the end of the stream whose token has expired")
        assert not live.ended()
    finally:
        for reader in readers:
            reader.close()


def test_keys_are_rotated_by_a_file(guarded, tmp_path):
    """A new key is taken within seconds, a bad file changes nothing and is told, a key that is gone lets nobody in."""
    path = tmp_path / "jwks.json"
    jwks(path, old=SECRET)
    _, node = guarded(jwks="jwks.json")
    other = "the-next-secret-with-at-least-32-bytes"
    assert status(node, "/api/v1/nodes", token(admin=True)) == 200
    path.write_text("{ half a file", encoding="utf-8")
    wait_for(lambda: "cannot be used" in node.log(), 20, lambda: f"the bad file to be told\n{node.tail()}")
    assert status(node, "/api/v1/nodes", token(admin=True)) == 200
    jwks(path, next=other)
    wait_for(lambda: status(node, "/api/v1/nodes", token(admin=True, secret=other)) == 200, 20, "the new key")
    assert status(node, "/api/v1/nodes", token(admin=True)) == 401


def test_the_commands_take_a_token_from_a_file(kraft, guarded, tmp_path, seed):
    topic, node = guarded()
    records = list(load.fleet(seed, 200, 20, garbage=0))
    Sender(kraft, topic, records, 2_000).finish()
    wait_for(lambda: node.rows("machines") == Expected(records).machines, 30, "the rows")
    file = tmp_path / "token"
    file.write_text(token("machines", admin=True) + "\n", encoding="utf-8")
    done = weir("tail", node.url, "machines", "--count", "5", "--token-file", str(file))
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5, done.stderr
    done = weir("status", node.url, "--token-file", str(file))
    assert done.returncode == 0 and "machines" in done.stdout, done.stderr
    done = weir("status", node.url, env={"WEIR_TOKEN": token(admin=True)})
    assert done.returncode == 0 and "machines" in done.stdout, done.stderr
    done = weir("status", node.url, "--token-file", str(file), env={"WEIR_TOKEN": "x.y.z"})
    assert done.returncode == 0, "the option counts where both are there"
    done = weir("tail", node.url, "machines", "--count", "5", env={"WEIR_TOKEN": token("machines")})
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5, done.stderr
    done = weir("status", node.url)
    assert done.returncode != 0 and "401" in done.stderr and "token" in done.stderr
    done = weir("tail", node.url, "machines")
    assert done.returncode != 0 and "token" in done.stderr
    empty = tmp_path / "empty"
    empty.write_text("\n", encoding="utf-8")
    for wrong in (str(empty), str(tmp_path / "nothing")):
        done = weir("tail", node.url, "machines", "--token-file", wrong)
        assert done.returncode == 64 and wrong in done.stderr


def test_tokens_and_secrets_are_written_nowhere(guarded, sdk):
    _, node = guarded()
    shown = [token("machines"), token("machines", seconds=-100), token("machines", secret="another-secret-of-at-least-32-bytes"), token("machines", aud="somebody")]
    for one in shown:
        status(node, "/api/v1/tables/machines", one)
        with RawWebSocket(node.port) as connection:
            connection.say({"id": 1, "connect": {"token": one}})
            connection.read_frame()
    for where, text in {"log": node.log(), **{path: node.get(path).text for path in ("/api/v1/topology", "/api/v1/nodes", "/metrics")}}.items():
        assert SECRET not in text, where
        for one in shown:
            assert all(part not in text for part in one.split(".")[1:]), where
    assert '"secret": "***"' in node.get("/api/v1/topology").text
