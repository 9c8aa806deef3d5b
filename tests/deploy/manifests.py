"""What has to hold between Kubernetes objects, beyond their schemas: each name that one refers to is there, and images are pinned."""

import re

import kubernetes_validate

KUBERNETES = "1.34.0"
PODS = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


def schema_problems(objects: list[dict]) -> list[str]:
    found = []
    for o in objects:
        try:
            kubernetes_validate.validate(o, KUBERNETES, strict=True)
        except Exception as trouble:  # the library has a class of its own for each of its reasons
            found.append(f"{o.get('kind')} {o.get('metadata', {}).get('name')}: {str(trouble).splitlines()[0]}")
    return found


def unpinned(image: str) -> bool:
    """No tag, or one that moves by its name."""
    tag = re.fullmatch(r".+?(?::([\w.-]+))?(@sha256:[0-9a-f]{64})?", image.rsplit("/", 1)[-1])
    return tag is None or not tag[2] and tag[1] in (None, "latest")


def reference_problems(objects: list[dict], given: set[tuple[str, str]] = frozenset()) -> list[str]:
    """given: kind and name of objects that the user makes by hand."""
    found: list[str] = []
    there = {(o["kind"], o["metadata"]["name"]) for o in objects} | set(given)
    namespaces = {o["metadata"].get("namespace") for o in objects if o["kind"] != "Namespace"}
    if len(namespaces) > 1:
        found.append(f"objects in several namespaces: {namespaces}")
    templates = [o["spec"]["template"] for o in objects if o["kind"] in PODS]

    def need(kind: str, name: str, where: str) -> None:
        if (kind, name) not in there:
            found.append(f"{where}: no {kind} {name}")

    def selected(labels: dict, where: str) -> list[dict]:
        pods = [t for t in templates if labels.items() <= t["metadata"]["labels"].items()]
        if not pods:
            found.append(f"{where}: selects no pod: {labels}")
        return pods

    for o in objects:
        where = f"{o['kind']} {o['metadata']['name']}"
        spec = o.get("spec", {})
        if o["kind"] in PODS:
            if not spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items():
                found.append(f"{where}: its selector does not match its own pods")
            found += pod_problems(spec["template"]["spec"], where, need)
        elif o["kind"] == "Service":
            for pod in selected(spec["selector"], where):
                ports = {p.get("name", p["containerPort"]) for c in pod["spec"]["containers"] for p in c.get("ports", [])}
                found += [f"{where}: no port {p['targetPort']} in the pod" for p in spec["ports"] if p["targetPort"] not in ports]
        elif o["kind"] == "PodDisruptionBudget":
            selected(spec["selector"]["matchLabels"], where)
        elif o["kind"] == "NetworkPolicy":
            selected(spec["podSelector"]["matchLabels"], where)
        elif o["kind"] == "HorizontalPodAutoscaler":
            need(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"], where)
    return found


def pod_problems(pod: dict, where: str, need) -> list[str]:
    found = []
    if pod.get("automountServiceAccountToken") is not False:
        found.append(f"{where}: has a token for the API server")
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        found.append(f"{where}: may run as root")
    if pod.get("serviceAccountName"):
        need("ServiceAccount", pod["serviceAccountName"], where)
    volumes = {v["name"] for v in pod.get("volumes", [])}
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            need("ConfigMap", volume["configMap"]["name"], where)
        if "secret" in volume:
            need("Secret", volume["secret"]["secretName"], where)
        if "persistentVolumeClaim" in volume:
            need("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], where)
    for container in pod["containers"]:
        place = f"{where}, container {container['name']}"
        if unpinned(container["image"]):
            found.append(f"{place}: image {container['image']} is not pinned")
        if "limits" not in container.get("resources", {}) or "requests" not in container["resources"]:
            found.append(f"{place}: no requests or no limits")
        security = container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False or security.get("capabilities") != {"drop": ["ALL"]}:
            found.append(f"{place}: more rights than it needs")
        found += [f"{place}: no volume {m['name']}" for m in container.get("volumeMounts", []) if m["name"] not in volumes]
        ports = {p["name"] for p in container.get("ports", []) if "name" in p}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {})
            port = asked.get("httpGet", asked.get("tcpSocket", {})).get("port")
            if isinstance(port, str) and port not in ports:
                found.append(f"{place}: {probe} asks port {port}, which is none of its own")
        for variable in container.get("env", []):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in variable.get("valueFrom", {}):
                    need(kind, variable["valueFrom"][key]["name"], place)
    return found


def normalised(objects: list[dict]) -> dict[tuple[str, str], dict]:
    """Without what differs for a reason: the suffix of the ConfigMap's name (both are digests of the content, but different ones), the
    labels that Helm puts on its own objects, and the order of a container's variables (kustomize moves patched ones to the front)."""
    def walk(value):
        if isinstance(value, dict):
            return {k: sorted(map(walk, v), key=lambda e: e["name"]) if k == "env" else walk(v) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v) for v in value]
        if isinstance(value, str):
            return re.sub(r"^(weir-topology)-[0-9a-z]{10}$", r"\1", value)
        return value

    out = {}
    for o in walk(objects):
        labels = o["metadata"].get("labels", {})
        for name in ("app.kubernetes.io/managed-by", "helm.sh/chart"):
            labels.pop(name, None)
        out[o["kind"], o["metadata"]["name"]] = o
    return out
