"""Subscribers in processes of their own: the npm `centrifuge` SDK, unmodified, and the package in web/client (programs in tests/sdk)."""

import json
import pathlib
import queue
import subprocess
import threading
import time

from .node import ROOT
from .waiting import wait_for

PROGRAMS = ROOT / "tests" / "sdk"


class SdkClient:
    """Events are JSON lines of its standard output; commands go to its standard input, one a line. `prefix`: words before the command (another network)."""

    def __init__(self, url: str, table: str, kind: str, log: pathlib.Path, *arguments: str, program: str = "sdk-client.mjs", prefix: tuple[str, ...] = ()):
        self.table, self.kind = table, kind
        self._errors = log.open("ab")
        self.child = subprocess.Popen([*prefix, "node", str(PROGRAMS / program), "--url", url, "--table", table, "--kind", kind, *arguments], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8", start_new_session=True)
        self.events: list[dict] = []
        self._answers: queue.Queue = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            event = json.loads(line)
            event["received"] = time.time()
            (self._answers.put if event.get("event") == "dump" else self.events.append)(event)

    def say(self, command: str) -> None:
        assert self.child.stdin
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()

    def of(self, *names: str) -> list[dict]:
        return [event for event in list(self.events) if event.get("event") in names]

    def wait_event(self, name: str, seconds: float = 30, count: int = 1) -> dict:
        wait_for(lambda: len(self.of(name)) >= count, seconds, lambda: f"event {name} of {self.table}, has {self.events[-5:]}")
        return self.of(name)[count - 1]

    # The state of a map is there from its first `sync` on; a stream has none.
    def wait_subscribed(self, seconds: float = 30) -> None:
        self.wait_event("sync" if self.kind == "map" else "subscribed", seconds)

    def dump(self, seconds: float = 60) -> dict:
        """What the client has now."""
        self.say("dump")
        return self._answers.get(timeout=seconds)

    def rows(self) -> dict[str, dict]:
        return self.dump()["rows"]

    def quit(self) -> None:
        if self.child.poll() is None:
            try:
                self.say("quit")
                self.child.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self.child.kill()
        self.child.wait(10)
        self._reader.join(10)
        self._errors.close()
