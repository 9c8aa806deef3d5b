"""docker-compose.yml as it is, on images built here: values reach a client, and restarts of everything leave its history correct."""

import json
import subprocess
import time

import pytest
import requests
from compose import Compose
from feed import MACHINES, SITE, Feed
from harness.node import ROOT
from harness.sdk import SdkClient
from harness.tokens import token
from harness.waiting import wait_for


@pytest.fixture
def compose(request):
    stack = Compose(request.param)
    failed = True
    try:
        stack.up()
        yield stack
        failed = False
    finally:
        if failed or getattr(request.node, "failed", False):
            stack.logs()
        stack("down", "-v", "-t", "20")
        assert stack.left_overs() == []


def numbers(client: SdkClient) -> dict[str, int]:
    return {key: row["n"] for key, row in client.rows().items() if key.startswith("test-")}


def never_went_back(client: SdkClient) -> int:
    """Looks at each update that the client got, in its order; gives how many there were."""
    highest: dict[str, int] = {}
    updates = client.of("update")
    for event in updates:
        if not event["key"].startswith("test-"):
            continue
        assert not event["removed"], event
        n = event["data"]["n"]
        assert n >= highest.get(event["key"], 0), f"{event['key']} went back to {n} from {highest[event['key']]}"
        highest[event["key"]] = n
    return len(updates)


@pytest.mark.parametrize("compose", ["zookeeper"], indirect=True)
def test_everything_restarts_in_turn_and_the_client_ends_with_every_record(compose, tmp_path):
    for service in ("zookeeper", "kafka-zookeeper", "redis", "weir"):
        compose.healthy(service)
    client = SdkClient(f"ws://127.0.0.1:{compose.port}/connection/websocket", "machines", "map", tmp_path / "client.log")
    try:
        client.wait_subscribed()
        client.wait_event("update", 60)  # of the demo's producer
        compose("stop", "-t", "3", "demo-zookeeper")
        feed = Feed(f"127.0.0.1:{compose.kafka_port}")
        wait_for(lambda: len(numbers(client)) == MACHINES, 60, "the first records")
        for service in ("kafka-zookeeper", "zookeeper", "redis", "weir"):
            before = time.monotonic()
            compose("restart", "-t", "60", service)
            compose.healthy(service)
            sent = feed.sent
            wait_for(lambda: min(numbers(client).values()) > sent, 120, lambda: f"records from after the restart of {service}: {sent}, {numbers(client)}")
            print(f"{service}: values flow again {time.monotonic() - before:.1f} s after the restart began")
        expected = feed.finish()
        wait_for(lambda: numbers(client) == expected, 60, lambda: f"{expected}, has {numbers(client)}")
        assert never_went_back(client) > 0
        # Every record counted once, in Redis as well.
        totals = requests.get(f"http://127.0.0.1:{compose.port}/api/v1/tables/totals", timeout=10).json()["rows"]
        assert totals[SITE]["n"] == feed.sent
    finally:
        client.quit()


@pytest.mark.parametrize("compose", ["zookeeper"], indirect=True)
def test_the_container_is_as_bare_as_it_says_and_ends_by_sigterm(compose):
    compose.healthy("weir")
    told = compose.inspect("weir")
    assert told["Config"]["User"] == "10001:10001" and told["HostConfig"]["ReadonlyRootfs"] and told["HostConfig"]["CapDrop"] == ["ALL"]
    for published in told["HostConfig"]["PortBindings"].values():
        assert [p["HostIp"] for p in published] == ["127.0.0.1"]
    password = (compose.root / "deploy/docker/secrets/redis_password").read_text().strip()
    assert password not in json.dumps(told) and password not in compose("logs", "--no-color", "weir")
    began = time.monotonic()
    compose("stop", "-t", "30", "weir")
    assert time.monotonic() - began < 15
    assert compose.inspect("weir")["State"]["ExitCode"] == 0


@pytest.mark.parametrize("compose", ["kraft"], indirect=True)
def test_kafka_4_without_zookeeper_brings_values_too(compose, tmp_path):
    compose.healthy("weir")
    client = SdkClient(f"ws://127.0.0.1:{compose.port}/connection/websocket", "machines", "map", tmp_path / "client.log")
    try:
        client.wait_event("update", 90)
    finally:
        client.quit()


@pytest.mark.parametrize("compose", ["tls"], indirect=True)
def test_with_tls_everywhere_values_come_through_https_to_whoever_has_a_token(compose):
    compose.healthy("weir-tls")
    secrets = compose.root / "deploy/docker/secrets"
    authority, secret = str(secrets / "ca.pem"), (secrets / "jwt_secret").read_text().strip()
    url = f"https://127.0.0.1:{compose.port}/api/v1/tables/machines"

    def ask(*tables: str, **how) -> requests.Response:
        return requests.get(url, verify=authority, timeout=10, headers={"Authorization": "Bearer " + token(*tables, aud="weir", **how)})

    def rows() -> dict:
        answer = ask("machines", secret=secret)
        return answer.json().get("rows", {}) if answer.status_code == 200 else {}

    wait_for(lambda: len(rows()) > 3, 90, "rows over HTTPS")
    assert requests.get(url, verify=authority, timeout=10).status_code == 401
    assert ask("machines", secret="s" * 32).status_code == 401
    assert ask("totals", secret=secret).status_code == 403
    assert secret not in compose("logs", "--no-color", "weir-tls")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, timeout=10)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url.replace("https", "http"), timeout=10)


@pytest.mark.parametrize("compose", ["kraft,monitoring"], indirect=True)
def test_prometheus_reads_weir_and_raises_the_alarm_when_it_is_gone(compose):
    compose.healthy("weir")

    def ask(what: str, **parameters) -> dict:
        answer = requests.get(f"http://127.0.0.1:{compose.prometheus_port}/api/v1/{what}", params=parameters, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def values(expression: str) -> list[dict]:
        try:
            return ask("query", query=expression)["result"]
        except requests.RequestException:  # not up yet
            return []

    wait_for(lambda: values("rate(weir_records_applied_total[1m]) > 0"), 90, lambda: f"records applied: {ask('targets')}")
    # weir's own label `job`, and not Prometheus': the alerts on jobs go by it.
    wait_for(lambda: values('weir_job_last_success_timestamp_seconds{job="rollup"} > 0'), 60, "the demo's job")
    wait_for(lambda: all(rule["health"] == "ok" for group in ask("rules")["groups"] for rule in group["rules"]), 60, lambda: f"each rule to work: {ask('rules')}")
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    assert {"WeirDown", "WeirJobOverdue"} < {rule["name"] for rule in rules}
    assert ask("alerts")["alerts"] == []
    compose("stop", "-t", "30", "weir")
    began = time.monotonic()
    wait_for(lambda: [(a["labels"]["alertname"], a["state"]) for a in ask("alerts")["alerts"]] == [("WeirDown", "firing")], 150, lambda: f"the alarm: {ask('alerts')}")
    print(f"WeirDown fires {time.monotonic() - began:.0f} s after weir is gone")


# What an administrator does, from a bare system to a bare system.
PACKAGE = """
apt-get update -q
apt-get install -q -y --no-install-recommends systemd /packages/weir_*_amd64.deb
test -s /usr/share/man/man1/weir.1.gz
test "$(stat -c %a%U /etc/weir/redis_password)" = 600root
test "$(stat -c %a%U /etc/weir/jwt_secret)" = 600root
weir --version
systemd-analyze verify --man=no /usr/lib/systemd/system/weir.service
systemd-analyze security --offline=yes --threshold=30 /usr/lib/systemd/system/weir.service | tail -n 2
printf secret >/etc/weir/redis_password
KAFKA_BROKERS=k:9092 REDIS_URL=redis://r TOPIC=t weir check /etc/weir/topology.jsonc
cp /etc/weir/jwt_secret /tmp/before
apt-get install -q -y --reinstall /packages/weir_*_amd64.deb
cmp /tmp/before /etc/weir/jwt_secret
echo "// mine" >>/etc/weir/topology.jsonc
apt-get remove -q -y weir
test ! -e /usr/bin/weir && tail -n 1 /etc/weir/topology.jsonc | grep mine
apt-get purge -q -y weir
test ! -e /etc/weir
"""


def test_the_package_installs_checks_and_goes_without_a_trace():
    release = dict(line.split("=", 1) for line in open("/etc/os-release", encoding="utf-8").read().splitlines() if "=" in line)["VERSION_ID"].strip('"')
    done = subprocess.run(["docker", "run", "--rm", "-v", f"{ROOT}/build/release:/packages:ro", "-e", "DEBIAN_FRONTEND=noninteractive", f"debian:{release}-slim", "sh", "-exc", PACKAGE],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    print(done.stdout[-400:])
