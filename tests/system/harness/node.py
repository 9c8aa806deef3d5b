"""A weir node: the real binary with a topology file of its own."""

import json
import os
import pathlib
import signal
import subprocess
import urllib.parse

import requests

from .ports import free_port
from .processes import Process
from .waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("WEIR_BINARY") or ROOT / "build" / "release" / "weir")


def weir(*arguments: str, seconds: float = 60, env: dict[str, str] | None = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=seconds, check=False, input=text or "", env={**os.environ, **(env or {})})


class Node:
    def __init__(self, folder: pathlib.Path, topology: dict, name: str = "node", arguments: tuple[str, ...] = (), env: dict[str, str] | None = None, binary: pathlib.Path = BINARY):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.topology, self.name, self.arguments, self.env, self.binary = folder, topology, name, arguments, env, binary
        if "http" not in topology:
            topology["http"] = {"listen": f"127.0.0.1:{free_port()}"}
        self.file = folder / f"{name}.json"
        self.process: Process | None = None
        self.session = requests.Session()

    @property
    def listen(self) -> str:
        return self.topology["http"]["listen"]

    @property
    def port(self) -> int:
        return int(self.listen.rsplit(":", 1)[1])

    @property
    def url(self) -> str:
        return f"http://{self.listen}"

    @property
    def websocket(self) -> str:
        return f"ws://{self.listen}/connection/websocket"

    # -- life

    def start(self) -> "Node":
        self.file.write_text(json.dumps(self.topology, indent=2), encoding="utf-8")
        command = [str(self.binary), "run", str(self.file), *self.arguments]
        self.process = Process(self.name, command, self.folder / f"{self.name}.log", self.env)
        return self

    def ready(self, seconds: float = 60) -> "Node":
        assert self.process
        last = ["no answer yet"]

        def asked() -> bool:
            assert self.process and self.process.alive(), f"{self.name} ended with {self.process and self.process.child.returncode}\n{self.tail()}"
            try:
                answer = self.session.get(self.url + "/readyz", timeout=5)
            except requests.RequestException as trouble:
                last[0] = str(trouble)
                return False
            last[0] = f"{answer.status_code} {answer.text[:500]}"
            return answer.status_code == 200

        wait_for(asked, seconds, lambda: f"{self.name} to be ready ({last[0]})\n{self.tail()}")
        return self

    def stop(self, seconds: float = 30) -> int:
        assert self.process
        self.process.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    def alive(self) -> bool:
        return bool(self.process and self.process.alive())

    def log(self) -> str:
        return self.process.log() if self.process else ""

    def tail(self, lines: int = 40) -> str:
        return self.process.tail(lines) if self.process else ""

    # -- its surfaces

    def get(self, path: str, **options) -> requests.Response:
        return self.session.get(self.url + path, timeout=60, **options)

    def post(self, path: str, **options) -> requests.Response:
        return self.session.post(self.url + path, timeout=60, **options)

    def json(self, path: str, **parameters):
        answer = self.get(path, params=parameters)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def rows(self, table: str, limit: int = 1000, still: bool = False) -> dict[str, dict]:
        """The whole table by its pages. A row that changes meanwhile comes again on a later page; in a table that is still, none may."""
        rows: dict[str, dict] = {}
        parameters: dict = {"limit": limit}
        while True:
            page = self.json(f"/api/v1/tables/{table}", **parameters)
            assert page["table"] == table
            assert len(page["rows"]) <= limit
            assert not still or not rows.keys() & page["rows"].keys(), "a key came twice"
            rows.update(page["rows"])
            if not page.get("cursor"):
                return rows
            parameters["cursor"] = page["cursor"]

    def row(self, table: str, key: str) -> requests.Response:
        return self.get(f"/api/v1/tables/{table}/rows/{urllib.parse.quote(key, safe='')}")

    def entries(self, table: str, limit: int = 10_000) -> list[dict]:
        """The newest entries of a log, newest last: {"time", "partition", "offset", "value"}."""
        entries = self.json(f"/api/v1/tables/{table}", limit=limit)["entries"]
        assert len(entries) <= limit
        return entries

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric over all label sets that carry these labels."""
        total, seen = 0.0, False
        for line in self.get("/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            if head.split("{")[0] == name and all(f'{label}="{wanted}"' in head for label, wanted in labels.items()):
                total, seen = total + float(value), True
        assert seen, f"no metric {name} with {labels}"
        return total
