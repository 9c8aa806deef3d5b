"""The overlay `dev` as it is, in a real cluster of one node. The tests build on each other, in their order.

The demo's producer counts its records from 1 upwards (n), so the greatest n is how many there are, and the counts of the table `totals` have
to add up to it: nothing lost, nothing doubled, whatever was restarted meanwhile.
"""

import json
import re
import shutil
import time

import pytest
from cluster import INSIDE, NAMESPACE, address, describe, get, give_volumes, is_ready, kubectl, pods, rest, run, SCRIPT, status, the_pod, wait_alone, wait_ready
from harness.node import ROOT
from harness.sdk import SdkClient
from harness.tokens import SECRET, token
from harness.waiting import wait_for

OVERLAY = "deploy/kubernetes/overlays/dev"
PARTS = ("zookeeper", "kafka", "redis", "weir", "demo")
CLIENTS = 12
BACK_WITHIN = 10.0  # seconds


@pytest.fixture(scope="module", autouse=True)
def overlay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    give_volumes(folder)
    began = time.monotonic()
    kubectl("apply", "-k", OVERLAY)
    run(SCRIPT, "names")
    for part in PARTS:
        wait_ready(part, 300)
    print(f"all pods Ready {time.monotonic() - began:.1f} s after the overlay was applied")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait", "--timeout=90s", seconds=120, good=False)


@pytest.fixture(autouse=True)
def told(request):
    yield
    if getattr(request.node, "failed", False):
        for part in PARTS:
            print(describe(part))


def client(log, *arguments: str) -> SdkClient:
    one = SdkClient(f"ws://{address('weir')}/connection/websocket", "machines", "map", log, *arguments, prefix=INSIDE)
    one.wait_subscribed(60)
    return one


def newest() -> int:
    return max((row["n"] for row in rest("/api/v1/tables/machines")["rows"].values()), default=0)


def counted() -> int:
    return sum(row["n"] for row in rest("/api/v1/tables/totals")["rows"].values())


def never_went_back(one: SdkClient) -> int:
    highest: dict[str, int] = {}
    for event in one.of("update"):
        assert event["removed"] or event["data"]["n"] >= highest.get(event["key"], 0), event
        if not event["removed"]:
            highest[event["key"]] = event["data"]["n"]
    return len(highest)


def test_a_client_sees_live_values_through_the_service(tmp_path):
    one = client(tmp_path / "client.log")
    try:
        one.wait_event("update", 60, count=30)
        assert never_went_back(one) > 1
    finally:
        one.quit()


def test_the_secret_is_a_file_and_nowhere_else():
    pod = the_pod("weir")
    password = "for-trying-things-out"
    assert kubectl("exec", "deployment/redis", "--", "cat", "/run/secrets/weir/redis_password") == password
    mounts = {m["name"]: m for m in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["secrets"]["mountPath"] == "/run/secrets/weir" and mounts["secrets"]["readOnly"]
    assert password not in json.dumps(pod) and password not in kubectl("logs", pod["metadata"]["name"])
    # weir's image has a shell only because Debian's has one; the process runs without rights on a file system that it cannot change.
    status = kubectl("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert values["Uid"].split()[0] == "10001" and int(values["CapEff"], 16) == 0 and values["Seccomp"] == "2" and values["NoNewPrivs"] == "1"
    assert "Read-only file system" in run(SCRIPT, "kubectl", "-n", NAMESPACE, "exec", pod["metadata"]["name"], "--", "sh", "-c", "{ echo x >/x; } 2>&1 || true")
    assert not kubectl("exec", pod["metadata"]["name"], "--", "sh", "-c", "ls -d /var/run/secrets/kubernetes.io 2>/dev/null || true")


def test_redis_keeps_its_data_when_its_pod_is_deleted():
    before_count, before = counted(), the_pod("redis")["metadata"]["name"]
    assert before_count > 0
    kubectl("delete", "pod", before, "--wait=false")
    wait_for(lambda: all(p["metadata"]["name"] != before for p in pods("redis")), 60, "another pod of Redis")
    wait_ready("redis")
    assert int(kubectl("exec", "deployment/redis", "--", "sh", "-c", "REDISCLI_AUTH=$(cat /run/secrets/weir/redis_password) redis-cli --user weir exists '{fleet}:meta'")) == 1
    began = time.monotonic()
    wait_ready("weir")
    print(f"weir is ready {time.monotonic() - began:.1f} s after Redis is")
    wait_for(lambda: counted() > before_count, 60, "the count to go on")


def roll(*command: str) -> None:
    """Gives kubectl a command that rolls weir, and waits until the new pod is the only one. Redis rolls, too, where the Secret is another one."""
    before = the_pod("weir")["metadata"]["name"]
    kubectl(*command)
    for part in ("redis", "weir"):
        kubectl("rollout", "status", f"deployment/{part}", "--timeout=120s", seconds=150)
    wait_alone("weir")
    assert the_pod("weir")["metadata"]["name"] != before


def test_without_the_demos_argument_only_clients_with_a_token_get_in(tmp_path):
    """As the overlay `production` and the chart have it: the secret is a file of weir-secrets."""
    assert status("/api/v1/tables/machines") == 200
    shutil.copytree(ROOT / "deploy/kubernetes", tmp_path / "kubernetes")
    file = tmp_path / "kubernetes/overlays/dev/kustomization.yaml"
    text, patches = re.subn(r"^patches:\n(?: .*\n)*", "", file.read_text(encoding="utf-8"), flags=re.M)
    text, secrets = re.subn(r"(literals: \[redis_password=[\w-]+)\]", rf"\1, jwt_secret={SECRET}]", text)
    assert patches == secrets == 1
    file.write_text(text, encoding="utf-8")
    roll("apply", "-k", str(file.parent))
    wait_for(lambda: status("/api/v1/tables/machines") == 401, 60, "an answer that asks for a token")
    assert status("/api/v1/tables/machines", token("machines", aud="weir", secret="s" * 32)) == 401
    assert status("/api/v1/tables/totals", token("machines", aud="weir")) == 403
    assert status("/metrics") == 200
    (tmp_path / "token").write_text(token("machines", aud="weir"), encoding="utf-8")
    one = client(tmp_path / "client.log", "--token-file", str(tmp_path / "token"))
    try:
        one.wait_event("update", 60, count=10)
    finally:
        one.quit()
    assert SECRET not in kubectl("logs", the_pod("weir")["metadata"]["name"])
    roll("apply", "-k", OVERLAY)
    wait_for(lambda: status("/api/v1/tables/machines") == 200, 60, "an answer without a token")


def test_a_changed_topology_rolls_the_pods_and_is_taken_back(tmp_path):
    shutil.copytree(ROOT / "deploy/kubernetes", tmp_path / "kubernetes")
    file = tmp_path / "kubernetes/base/topology.jsonc"
    text = file.read_text(encoding="utf-8")
    assert text.count('"every": "10s"') == 1
    file.write_text(text.replace('"every": "10s"', '"every": "7s"'), encoding="utf-8")
    roll("apply", "-k", str(tmp_path / "kubernetes/overlays/dev"))
    assert "7s" in json.dumps(rest("/api/v1/topology"))
    # The ConfigMap of before is still there.
    roll("rollout", "undo", "deployment/weir")
    assert "7s" not in json.dumps(rest("/api/v1/topology"))


def away(one: SdkClient) -> list[float]:
    """How long each break took, in seconds: from losing the connection to having the table again."""
    breaks: list[float] = []
    lost: float | None = None
    first = True
    for event in one.of("connecting", "disconnected", "subscribed"):
        if event["event"] != "subscribed":
            lost = lost or event["mono"]
            continue
        if lost is not None and not first:
            breaks.append((event["mono"] - lost) / 1000)
        first, lost = False, None
    assert lost is None, one.events[-5:]
    return breaks


def test_a_rolling_update_under_load_loses_nothing_and_every_client_comes_back(tmp_path):
    clients = [client(tmp_path / f"client-{i}.log") for i in range(CLIENTS)]
    try:
        started = {id(one): len(one.of("subscribed")) for one in clients}
        before = the_pod("weir")["metadata"]["name"]
        began = time.monotonic()
        kubectl("rollout", "restart", "deployment/weir")
        kubectl("rollout", "status", "deployment/weir", "--timeout=120s", seconds=150)
        told = [0]  # by the Service, whichever pod answers while both are there

        def all_back() -> bool:
            told.append(newest())
            assert told[-1] >= told[-2], f"the table went back from {told[-2]} to {told[-1]}"
            return all(len(one.of("subscribed")) > started[id(one)] for one in clients)

        wait_for(all_back, 60,
                 lambda: f"every client to come back: {[one.events[-3:] for one in clients if len(one.of('subscribed')) <= started[id(one)]]}")
        wait_alone("weir")
        print(f"the update took {time.monotonic() - began:.1f} s")
        assert the_pod("weir")["metadata"]["name"] != before
        # The producer is still running. Let it end, so that there is a last record.
        at_update = newest()
        wait_for(lambda: newest() > at_update + 50, 60, "more records")
        kubectl("scale", "deployment/demo", "--replicas=0")
        wait_for(lambda: not get("pods", "-l", "app.kubernetes.io/name=demo")["items"], 60, "the producer to end")
        last = [0]

        def quiet() -> bool:
            last.append(newest())
            return last[-1] == last[-2] == counted()

        wait_for(quiet, 60, lambda: f"as many counted as were sent: {counted()} of {newest()}")
        rows = rest("/api/v1/tables/machines")["rows"]
        for one in clients:
            wait_for(lambda one=one: one.rows() == rows, 30, "a client's rows to be the table")
            assert never_went_back(one) > 1
        longest = max(gap for one in clients for gap in away(one))
        print(f"{CLIENTS} clients, {newest()} records, each counted once; the longest break of a client took {longest:.2f} s")
        assert longest < BACK_WITHIN
    finally:
        for one in clients:
            one.quit()
    assert all(is_ready(pod) for pod in pods("weir"))
