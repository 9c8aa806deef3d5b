"""docker-compose on the project's own file, as a project of its own name, on ports of its own, with images built here."""

import json
import os
import subprocess
import sys

from harness.node import ROOT
from harness.ports import free_port
from harness.waiting import wait_for

IMAGES = {
    "WEIR_IMAGE": "weir:test", "REDIS_IMAGE": "weir-redis:test", "ZOOKEEPER_IMAGE": "weir-kafka-zookeeper:test",
    "KAFKA_ZOOKEEPER_IMAGE": "weir-kafka-zookeeper:test", "KAFKA_KRAFT_IMAGE": "weir-kafka-kraft:test",
    "PROMETHEUS_IMAGE": "weir-prometheus:test",
}


class Compose:
    def __init__(self, profile: str):
        self.root = ROOT
        self.profile, self.project = profile, f"weir-{profile.replace(',', '-')}-{os.getpid()}"
        self.port, self.kafka_port, self.prometheus_port = free_port(), free_port(), free_port()
        self.env = {**os.environ, **IMAGES, "COMPOSE_PROFILES": profile, "COMPOSE_PROJECT_NAME": self.project, "WEIR_PORT": str(self.port), "KAFKA_PORT": str(self.kafka_port),
                    "PROMETHEUS_PORT": str(self.prometheus_port)}

    def __call__(self, *words: str, seconds: float = 240, **env: str) -> str:
        done = subprocess.run(["docker-compose", *words], cwd=ROOT, env={**self.env, **env}, capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"docker-compose {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def up(self) -> None:
        """Of the profile `monitoring` Prometheus alone: of Grafana Debian has no package to make a stand-in of."""
        kind, *more = self.profile.split(",")
        self("up", "-d", COMPOSE_PROFILES=kind)
        if more == ["monitoring"]:
            self("up", "-d", "prometheus")

    def container(self, service: str) -> str:
        return self("ps", "-q", service).strip()

    def inspect(self, service: str) -> dict:
        done = subprocess.run(["docker", "inspect", self.container(service)], capture_output=True, text=True, timeout=30, check=True)
        return json.loads(done.stdout)[0]

    def healthy(self, service: str, seconds: float = 120) -> None:
        def state() -> dict:
            return self.inspect(service)["State"]

        wait_for(lambda: state()["Health"]["Status"] == "healthy", seconds, lambda: f"{service} to be healthy: {json.dumps(state())[-1500:]}")

    def left_overs(self) -> list[str]:
        """Containers, volumes and networks that bear the project's name."""
        label = f"label=com.docker.compose.project={self.project}"
        found = []
        for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
            done = subprocess.run(["docker", *kind, "--filter", label], capture_output=True, text=True, timeout=30, check=True)
            found += [f"{kind[0]} {line}" for line in done.stdout.split()]
        return found

    def logs(self) -> None:
        sys.stderr.write(self("logs", "--no-color", "--tail", "40"))
