"""Server-Sent Events with curl, as anybody would read them, and what they come to."""

import io
import json
import pathlib
import subprocess
import threading


class EventReader:
    """curl on a stream. Folds the events of a keyed table into rows, and keeps those of a log."""

    def __init__(self, url: str, log: pathlib.Path, last_id: str | None = None, headers: tuple[str, ...] = (), rows: dict[str, dict] | None = None):
        command = ["curl", "--silent", "--show-error", "--no-buffer", "--fail-with-body", url]
        for header in (*headers, *([f"Last-Event-ID: {last_id}"] if last_id else [])):
            command += ["--header", header]
        self.errors = log.open("w", encoding="utf-8")
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors)
        self.rows: dict[str, dict] = dict(rows or {})  # where it goes on from
        self.entries: list[dict] = []
        self.kinds: list[str] = []
        self.comments = 0
        self.retry: int | None = None
        self.done = False
        self.last_id = last_id
        self.trouble: BaseException | None = None
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            kind, data, event_id = "message", "", None
            assert self.child.stdout
            # A CR inside of an event is no end of a line.
            for line in io.TextIOWrapper(self.child.stdout, encoding="utf-8", newline="\n"):
                field, _, value = line.rstrip("\n").partition(":")
                value = value.removeprefix(" ")
                if not line.rstrip("\n"):
                    if data:
                        self._event(kind, json.loads(data))
                    if event_id is not None:  # only once the event is whole
                        self.last_id = event_id
                    kind, data, event_id = "message", "", None
                elif field == "":
                    self.comments += 1
                elif field == "event":
                    kind = value
                elif field == "data":
                    data += value
                elif field == "id":
                    event_id = value
                elif field == "retry":
                    self.retry = int(value)
                else:
                    raise AssertionError(f"not an event: {line!r}")
        except BaseException as trouble:  # for the test's thread to look at
            self.trouble = trouble

    def _event(self, kind: str, data: dict) -> None:
        self.kinds.append(kind)
        if kind == "reset":
            self.rows, self.done = {}, False
        elif kind == "snapshot":
            assert not self.rows.keys() & data["rows"].keys(), "a key came twice in the snapshot"
            self.rows.update(data["rows"])
            self.done = data.get("done", False)
        elif kind == "change":
            if data.get("removed"):
                self.rows.pop(data["key"], None)
            else:
                self.rows[data["key"]] = data["data"]
        elif kind == "entry":
            self.entries.append(data)
        else:
            raise AssertionError(f"{kind}: {data}")

    def ended(self) -> bool:
        return self.child.poll() is not None

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        self.thread.join()
        self.errors.close()
        if self.trouble:
            raise self.trouble
