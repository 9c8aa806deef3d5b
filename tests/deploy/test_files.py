"""What can be said of the files under deploy/ without running them. Each check is shown something wrong, too."""

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml
from manifests import normalised, reference_problems, schema_problems, unpinned

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBECTL = shutil.which("kubectl", path=str(ROOT / "build/venv-deploy/bin")) or "kubectl"
OVERLAYS = ("dev", "production")
# What the user makes by hand for the production overlay, as its first lines say.
BY_HAND = {"dev": set(), "production": {("Secret", "weir-secrets")}}


def run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **(env or {})})


def documents(text: str) -> list[dict]:
    return [d for d in yaml.safe_load_all(text) if d]


def kustomized(folder: pathlib.Path) -> list[dict]:
    done = run(KUBECTL, "kustomize", str(folder))
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


@pytest.fixture(scope="module")
def overlays() -> dict[str, list[dict]]:
    return {name: kustomized(DEPLOY / "kubernetes/overlays" / name) for name in OVERLAYS}


# -- Kubernetes


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_good(overlays, name):
    assert schema_problems(overlays[name]) == []
    assert reference_problems(overlays[name], BY_HAND[name]) == []


def named(objects: list[dict], kind: str, name: str) -> dict:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def container(objects: list[dict], name: str = "weir") -> dict:
    return named(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]


def volumes(objects: list[dict], name: str) -> dict[str, dict]:
    return {v["name"]: v for v in named(objects, "Deployment", name)["spec"]["template"]["spec"]["volumes"]}


BROKEN_SCHEMA = {
    "a word for a number": lambda o: named(o, "Deployment", "weir")["spec"].update(replicas="two"),
    "a misspelt field": lambda o: container(o).update(imagePullPolice="Never"),
    "a missing selector": lambda o: named(o, "Deployment", "redis")["spec"].pop("selector"),
}
BROKEN_REFERENCE = {
    "a ConfigMap that is not there": lambda o: volumes(o, "weir")["topology"]["configMap"].update(name="other"),
    "a Secret that is not there": lambda o: volumes(o, "redis")["secrets"]["secret"].update(secretName="other"),
    "a claim that is not there": lambda o: volumes(o, "kafka")["data"]["persistentVolumeClaim"].update(claimName="other"),
    "an account that is not there": lambda o: o.remove(named(o, "ServiceAccount", "weir")),
    "a Service without pods": lambda o: named(o, "Service", "weir")["spec"].update(selector={"app.kubernetes.io/name": "wier"}),
    "a Service's port that no pod has": lambda o: named(o, "Service", "redis")["spec"]["ports"][0].update(targetPort="http"),
    "a selector that misses its own pods": lambda o: named(o, "Deployment", "zookeeper")["spec"]["selector"].update(matchLabels={"app": "x"}),
    "a probe of no port": lambda o: container(o)["readinessProbe"]["httpGet"].update(port="metrics"),
    "a mount of no volume": lambda o: container(o)["volumeMounts"][0].update(name="other"),
    "the newest image": lambda o: container(o).update(image="weir:latest"),
    "an image without tag": lambda o: container(o, "redis").update(image="registry.example.org:5000/redis"),
    "no limits": lambda o: container(o)["resources"].pop("limits"),
    "root": lambda o: named(o, "Deployment", "weir")["spec"]["template"]["spec"]["securityContext"].pop("runAsNonRoot"),
    "capabilities": lambda o: container(o)["securityContext"].pop("capabilities"),
    "a token": lambda o: named(o, "Deployment", "demo")["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
    "another namespace": lambda o: named(o, "Service", "weir")["metadata"].update(namespace="default"),
}


def missing(what: str) -> None:
    """A tool that a machine may lack: its tests are skipped. Not in CI (.ci/run), which has it: there they would say nothing for ever."""
    if os.environ.get("WEIR_CI"):
        pytest.fail(f"{what}; in CI it has to be there")
    pytest.skip(what)


def built_weir() -> pathlib.Path:
    """The stage `deploy` can be run alone, before anything is built; `scripts/test` builds weir before it."""
    binary = pathlib.Path(os.environ.get("WEIR_BINARY") or ROOT / "build/release/weir")
    if not binary.exists():
        missing("weir is not built: scripts/build release weir")
    return binary


def vet(objects: list[dict]) -> subprocess.CompletedProcess[str]:
    """What the API server itself says of objects when they are created."""
    vetter = os.environ.get("WEIR_VET")
    if not vetter:
        # Debian's Go is older, and building it takes minutes: a machine without a newer one does without, in CI too. test_kubernetes.py
        # asks a real API server.
        pytest.skip("no checks of the API server: needs Go 1.24 or newer (scripts/deploy/kube-command says more)")
    return subprocess.run([vetter], input=yaml.safe_dump_all(objects), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_api_server_would_take_an_overlay(overlays, name):
    done = vet(overlays[name])
    assert done.returncode == 0 and f"{len(overlays[name])} objects, 0 wrong" in done.stdout, done.stdout + done.stderr


# The schemas take these.
BROKEN_MEANING = {
    "a selector that misses its own pods": lambda o: named(o, "Deployment", "weir")["spec"]["selector"].update(matchLabels={"app": "x"}),
    "a port beyond all ports": lambda o: named(o, "Service", "weir")["spec"]["ports"][0].update(port=99999),
    "a mount of no volume": lambda o: container(o)["volumeMounts"][0].update(name="other"),
    "a quantity that is none": lambda o: container(o)["resources"]["limits"].update(memory="1 GB"),
    "less than is requested": lambda o: container(o)["resources"]["limits"].update(memory="1Mi"),
    "a name that is none": lambda o: named(o, "Service", "redis")["metadata"].update(name="Redis_1"),
}


@pytest.mark.parametrize("what", [*BROKEN_SCHEMA, *BROKEN_MEANING])
def test_the_api_server_would_refuse(overlays, what):
    broken = copy.deepcopy(overlays["dev"])
    {**BROKEN_SCHEMA, **BROKEN_MEANING}[what](broken)
    done = vet(broken)
    assert done.returncode == 1 and f"{len(broken)} objects, 1 wrong" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("what", BROKEN_SCHEMA)
def test_the_schema_check_finds(overlays, what):
    broken = copy.deepcopy(overlays["dev"])
    BROKEN_SCHEMA[what](broken)
    assert len(schema_problems(broken)) == 1


@pytest.mark.parametrize("what", BROKEN_REFERENCE)
def test_the_reference_check_finds(overlays, what):
    broken = copy.deepcopy(overlays["dev"])
    BROKEN_REFERENCE[what](broken)
    assert reference_problems(broken) != []


def test_a_changed_topology_is_another_config_map(overlays, tmp_path):
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    with (tmp_path / "kubernetes/base/topology.jsonc").open("a") as file:
        file.write("// more\n")
    changed = kustomized(tmp_path / "kubernetes/overlays/dev")
    before, after = (volumes(o, "weir")["topology"]["configMap"]["name"] for o in (overlays["dev"], changed))
    assert before != after


def test_the_autoscaling_component_fits(tmp_path):
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    with (tmp_path / "kubernetes/overlays/production/kustomization.yaml").open("a") as file:
        file.write("components: [../../components/autoscaling]\n")
    objects = kustomized(tmp_path / "kubernetes/overlays/production")
    assert any(o["kind"] == "HorizontalPodAutoscaler" for o in objects)
    assert schema_problems(objects) == [] and reference_problems(objects, BY_HAND["production"]) == []


# -- Helm


def render(*values: pathlib.Path) -> subprocess.CompletedProcess[str]:
    renderer = os.environ.get("WEIR_RENDER")
    if not renderer:
        # As above: Helm is built from its Go modules, and Debian's Go is too old for them.
        pytest.skip("no renderer of Helm charts: needs Go 1.24 or newer (scripts/deploy/renderer says more)")
    return run(renderer, str(DEPLOY / "helm/weir"), "weir", *map(str, values))


def test_chart_and_production_overlay_are_the_same_objects(overlays):
    done = render(ROOT / "tests/deploy/chart-production.yaml")
    assert done.returncode == 0, done.stderr
    objects = documents(done.stdout)
    assert schema_problems(objects) == []
    assert normalised(objects) == normalised(overlays["production"])


def test_the_comparison_sees_a_difference(overlays):
    changed = copy.deepcopy(overlays["production"])
    container(changed)["args"].append("--verbose")
    assert normalised(changed) != normalised(overlays["production"])


@pytest.mark.parametrize("wrong", ["replicas: 2", "image: {tag: latest}", "redis: {url: 'http://redis'}", "sevice: {port: 80}", "service: {port: 0}"])
def test_the_charts_schema_refuses(wrong, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(wrong)
    done = render(file)
    assert done.returncode == 1 and "values don't meet the specifications" in done.stderr


def test_the_chart_with_autoscaling_and_a_topology_of_ones_own(tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text("autoscaling: {enabled: true}\ntopology: '{\"topology\": \"mine\"}'\n")
    done = render(file)
    assert done.returncode == 0, done.stderr
    objects = documents(done.stdout)
    assert schema_problems(objects) == [] and reference_problems(objects, BY_HAND["production"]) == []
    assert any(o["kind"] == "HorizontalPodAutoscaler" for o in objects)
    assert next(o for o in objects if o["kind"] == "ConfigMap")["data"]["topology.jsonc"] == '{"topology": "mine"}'


# -- Docker


COMPOSE = ROOT / "docker-compose.yml"
PROFILES = ("zookeeper", "kraft", "tls")


def compose_config(file: pathlib.Path, profile: str) -> subprocess.CompletedProcess[str]:
    return run("docker-compose", "--project-directory", str(ROOT), "-f", str(file), "config", "-q", env={"COMPOSE_PROFILES": profile})


def compose_problems(made: dict) -> list[str]:
    found = []
    services = made["services"]
    for name, s in services.items():
        image = re.sub(r"^\$\{[A-Z_]+:-(.+)\}$", r"\1", s["image"])
        if unpinned(image):
            found.append(f"{name}: image {image} is not pinned")
        found += [f"{name}: published beyond loopback: {p}" for p in s.get("ports", []) if not p.startswith("127.0.0.1:")]
        found += [f"{name}: no secret {secret}" for secret in s.get("secrets", []) if secret not in made["secrets"]]
        for other, how in s.get("depends_on", {}).items():
            if not set(s["profiles"]) <= set(services[other]["profiles"]):
                found.append(f"{name}: needs {other}, which is not in all of its profiles")
            if how["condition"] == "service_healthy" and "healthcheck" not in services[other] and other not in ("weir",):
                found.append(f"{name}: waits for the health of {other}, which has no check")
        if s.get("cap_drop") != ["ALL"] or s.get("restart") != "unless-stopped":
            found.append(f"{name}: without the limits of the others")
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_the_compose_file_parses(profile):
    done = compose_config(COMPOSE, profile)
    assert done.returncode == 0, done.stderr


def test_the_compose_file_is_consistent():
    assert compose_problems(yaml.safe_load(COMPOSE.read_text())) == []


@pytest.mark.parametrize(("good", "bad"), [("condition: service_healthy", "condition: service_fine"), ("depends_on: { zookeeper:", "depends_on: { zoo:"), ("read_only: true", "read_onyl: true")])
def test_the_parser_refuses(good, bad, tmp_path):
    text = COMPOSE.read_text()
    assert good in text
    (tmp_path / "docker-compose.yml").write_text(text.replace(good, bad, 1))
    assert compose_config(tmp_path / "docker-compose.yml", "zookeeper").returncode != 0


@pytest.mark.parametrize(("service", "change"), [
    ("weir", {"ports": ["8080:8080"]}), ("weir", {"image": "${WEIR_IMAGE:-weir}"}), ("redis", {"secrets": ["other"]}), ("weir", {"profiles": ["zookeeper", "tls"]}), ("grafana", {"cap_drop": []}),
])
def test_the_consistency_check_finds(service, change):
    made = yaml.safe_load(COMPOSE.read_text())
    made["services"][service].update(change)
    assert len(compose_problems(made)) == 1


def test_image_manifests_and_compose_file_agree(overlays):
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    port, user = re.search(r"^EXPOSE (\d+)$", dockerfile, re.M)[1], re.search(r"^USER (\d+):\d+$", dockerfile, re.M)[1]
    pod = named(overlays["dev"], "Deployment", "weir")["spec"]["template"]["spec"]
    assert pod["containers"][0]["ports"][0]["containerPort"] == int(port)
    assert pod["securityContext"]["runAsUser"] == int(user)
    assert yaml.safe_load(COMPOSE.read_text())["services"]["weir"]["ports"][0].endswith(f":{port}")
    for image in ("kafka", "zookeeper", "redis"):
        used = container(overlays["dev"], image)["image"]
        assert used in COMPOSE.read_text(), f"{used} is not the compose file's"


def test_there_is_one_topology():
    text = (DEPLOY / "topology.jsonc").read_text()
    for copied in ("kubernetes/base", "kubernetes/overlays/production", "helm/weir"):
        assert (DEPLOY / copied / "topology.jsonc").read_text() == text, copied


def checked(topology: str, folder: pathlib.Path, *arguments: str, **secrets: str) -> subprocess.CompletedProcess[str]:
    """What weir says of a topology where exactly these secrets are in their folder."""
    binary = built_weir()
    for name, text in secrets.items():
        (folder / name).write_text(text)
    places = {"CREDENTIALS_DIRECTORY": str(folder), "REDIS_PASSWORD_FILE": str(folder / "redis_password"), "JWT_SECRET_FILE": str(folder / "jwt_secret")}
    return run(str(binary), "check", str(DEPLOY / topology), *arguments, env={**places, "KAFKA_BROKERS": "k:9092", "REDIS_URL": "redis://r", "TOPIC": "t"})


TOPOLOGIES = ("topology.jsonc", "debian/topology.jsonc")
OPEN = "--set=http.auth=none"


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_weir_takes_a_topology_with_its_secrets_and_not_without(topology, tmp_path):
    done = checked(topology, tmp_path, redis_password="x", jwt_secret="s" * 32)
    assert done.returncode == 0, done.stderr
    done = checked(topology, tmp_path, redis_password="x", jwt_secret="short")
    assert done.returncode == 78 and "/http/auth/jwt/keys/0/secret" in done.stderr
    (tmp_path / "jwt_secret").unlink()
    done = checked(topology, tmp_path)
    assert done.returncode == 78 and "/http/auth/jwt/keys/0/secret" in done.stderr
    assert checked(topology, tmp_path, OPEN).returncode == 0


def compose_arguments(service: str) -> list[str]:
    return yaml.safe_load(COMPOSE.read_text())["services"][service].get("command", [])


def test_what_is_in_earnest_asks_for_tokens(overlays):
    assert container(overlays["dev"])["args"][-1] == OPEN and OPEN in compose_arguments("weir")
    for arguments in (container(overlays["production"])["args"], compose_arguments("weir-tls")):
        assert arguments and not any("http.auth" in argument or "/http/auth" in argument for argument in arguments)
    unit = (DEPLOY / "debian/weir.service").read_text()
    assert "http" not in re.search(r"^ExecStart=(.*)$", unit, re.M)[1]
    # Every file that the package's topology reads as a credential is handed over.
    read = set(re.findall(r"\$\{CREDENTIALS_DIRECTORY:-/etc/weir\}/(\w+)", (DEPLOY / "debian/topology.jsonc").read_text()))
    assert read == set(re.findall(r"^LoadCredential=(\w+):/etc/weir/\1$", unit, re.M)) == {"redis_password", "jwt_secret"}


def test_the_images_packages_are_what_the_binary_is_linked_to():
    binary = built_weir()
    listed = set(run(str(DEPLOY / "docker/runtime-packages")).stdout.split())
    assert listed
    needed = re.findall(r"NEEDED +(\S+)", run("objdump", "-p", str(binary)).stdout)
    paths = dict(re.findall(r"^\s*(\S+) => (\S+)", run("ldd", str(binary)).stdout, re.M))
    packages = set()
    for library in needed:
        path = pathlib.Path(paths.get(library, "/none"))
        for way in (path, path.resolve(), pathlib.Path(str(path).replace("/lib/", "/usr/lib/", 1))):
            owner = run("dpkg-query", "-S", str(way)).stdout
            if owner:
                packages.add(owner.split(":")[0])
                break
    assert packages, "no library has a package here"
    assert packages - {"libc6", "libgcc-s1"} <= listed


# -- Prometheus and Grafana


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("promtool"):
        missing("no promtool: scripts/setup --deploy installs it")  # which the stage `deploy` runs first
    return run("promtool", *words)


def metric_names() -> set[str]:
    text = (ROOT / "runtime/metrics/names.hpp").read_text()
    found = set(re.findall(r'"((?:weir|process)_[a-z0-9_]+)"', text))
    for name in re.findall(r'histogram_name<\d> \w+\{\s*"([a-z_]+)"', text):
        found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return found


def unknown_metrics(text: str) -> set[str]:
    return set(re.findall(r"\b(?:weir|process)_[a-z0-9_]+", text)) - metric_names()


def rules() -> list[dict]:
    return yaml.safe_load((DEPLOY / "prometheus/weir.rules.yml").read_text())["groups"][0]["rules"]


def test_promtool_is_content():
    for words in (("check", "config", "deploy/prometheus/prometheus.yml"), ("check", "rules", "deploy/prometheus/weir.rules.yml"), ("test", "rules", "deploy/prometheus/weir.rules.test.yml")):
        done = promtool(*words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds(tmp_path):
    for name in ("weir.rules.yml", "weir.rules.test.yml"):
        shutil.copy(DEPLOY / "prometheus" / name, tmp_path)
    file = tmp_path / "weir.rules.yml"
    text = file.read_text()
    file.write_text(text.replace("> 10000", "> 1000000"))  # nothing is that far behind in the test
    assert promtool("check", "rules", str(file)).returncode == 0
    assert promtool("test", "rules", str(tmp_path / "weir.rules.test.yml")).returncode != 0
    file.write_text(text.replace("increase(", "increas(", 1))
    assert promtool("check", "rules", str(file)).returncode != 0


def test_rules_and_dashboard_name_metrics_that_are_there():
    for rule in rules():
        assert unknown_metrics(rule["expr"]) == set(), rule["alert"]
    dashboard = json.loads((DEPLOY / "grafana/weir.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert unknown_metrics(target["expr"]) == set(), panel["title"]
    assert unknown_metrics("rate(weir_lags_records[1m]) + weir_lag_records + weir_apply_seconds_bucket") == {"weir_lags_records"}


def test_each_alert_has_its_paragraph_in_the_runbook():
    headings = set(re.findall(r"^### (\w+)$", (ROOT / "docs/operations.md").read_text(), re.M))
    names = {rule["alert"] for rule in rules()}
    assert names == {h for h in headings if h.startswith("Weir")}
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
