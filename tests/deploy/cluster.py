"""The cluster that scripts/deploy/cluster has started, by way of kubectl."""

import json
import os
import pathlib
import subprocess

from harness.node import ROOT
from harness.waiting import wait_for

SCRIPT = str(ROOT / "scripts/deploy/cluster")
INSIDE = ("nsenter", "--net=/run/netns/weir-kube")
NAMESPACE = "weir-dev"


def run(*words: str, text: str | None = None, seconds: float = 120, good: bool = True) -> str:
    done = subprocess.run(words, cwd=ROOT, input=text, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0 or not good, f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def kubectl(*words: str, **how) -> str:
    return run(SCRIPT, "kubectl", "-n", NAMESPACE, *words, **how)


def get(*words: str) -> dict:
    return json.loads(kubectl("get", *words, "-o", "json"))


def pods(name: str) -> list[dict]:
    """Those that are not on their way out."""
    return [p for p in get("pods", "-l", f"app.kubernetes.io/name={name}")["items"] if "deletionTimestamp" not in p["metadata"]]


def wait_alone(name: str, seconds: float = 60) -> None:
    """Until one pod is left, and those on their way out are gone: until then they still serve."""
    wait_for(lambda: len(get("pods", "-l", f"app.kubernetes.io/name={name}")["items"]) == 1, seconds, lambda: f"the old pod to go\n{describe(name)}")


def is_ready(pod: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def the_pod(name: str) -> dict:
    found = pods(name)
    assert len(found) == 1, [p["metadata"]["name"] for p in found]
    return found[0]


def wait_ready(name: str, seconds: float = 180) -> dict:
    wait_for(lambda: len(found := pods(name)) == 1 and is_ready(found[0]), seconds, lambda: f"one pod of {name} to be Ready\n{describe(name)}")
    return the_pod(name)


def describe(name: str) -> str:
    return kubectl("describe", "pods", "-l", f"app.kubernetes.io/name={name}", good=False)[-3000:] + kubectl(
        "logs", "--tail", "20", "-l", f"app.kubernetes.io/name={name}", good=False)


def address(service: str) -> str:
    return get("service", service)["spec"]["clusterIP"]


def status(path: str, token: str | None = None) -> int:
    """Of one answer through the Service; 0 without an answer."""
    header = ("-H", f"Authorization: Bearer {token}") if token else ()
    done = subprocess.run([*INSIDE, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", *header, f"http://{address('weir')}{path}"],
                          capture_output=True, text=True, timeout=30, check=False)
    return int(done.stdout or 0)


def rest(path: str, seconds: float = 60) -> dict:
    """Through the Service, from inside the cluster's network. While no pod is ready behind it, it is asked again."""
    last = [""]

    def answer() -> str:
        done = subprocess.run([*INSIDE, "curl", "-fsS", "--max-time", "5", f"http://{address('weir')}{path}"], capture_output=True, text=True, timeout=30, check=False)
        last[0] = done.stderr
        return done.stdout if done.returncode == 0 else ""

    return json.loads(wait_for(answer, seconds, lambda: f"an answer from {path}: {last[0]}"))


# (claim, user, folders that its pods mount by subPath)
CLAIMS = (("zookeeper", 1000, ("data", "log")), ("kafka", 1000, ("data",)), ("redis", 999, ()))


def give_volumes(folder: pathlib.Path) -> None:
    """What a cloud's provisioner would make for the claims. A folder of the host keeps its owner, so it is given to the pods' user here."""
    for claim, user, inner in CLAIMS:
        for place in (folder / claim, *(folder / claim / name for name in inner)):
            place.mkdir(parents=True)
            os.chown(place, user, user)
    volumes = [{
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"test-{claim}"},
        "spec": {
            "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder / claim)}, "claimRef": {"namespace": NAMESPACE, "name": claim},
        },
    } for claim, _, _ in CLAIMS]
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": volumes}))
