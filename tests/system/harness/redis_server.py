"""A redis-server of the test's own, on a free port and a unix socket."""

import pathlib
import signal
import subprocess

import redis

from .ports import free_port
from .processes import Process
from .waiting import wait_for


class RedisServer:
    def __init__(self, folder: pathlib.Path, aof: bool = True, arguments: tuple[str, ...] = ()):
        self.folder, self.aof, self.arguments = folder, aof, arguments
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> "RedisServer":
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--daemonize", "no",
                   "--appendonly", "yes" if self.aof else "no", "--appendfsync", "everysec", *self.arguments]
        self.process = Process("redis-server", command, self.folder / "redis.log")
        wait_for(self._answers, 30, lambda: f"redis-server to answer\n{self.process.tail()}")
        return self

    def _answers(self) -> bool:
        assert self.process and self.process.alive(), f"redis-server ended\n{self.process.tail() if self.process else ''}"
        try:
            return bool(self.client().ping())
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.RedisError:
            return False

    def client(self, **options) -> redis.Redis:
        # A new connection each time: after a restart none is left over from before.
        return redis.Redis(port=self.port, socket_timeout=20, decode_responses=False, **options)

    def stop(self) -> None:
        if self.process and self.process.alive():
            self.process.signal(signal.SIGTERM)
            self.process.wait(30)

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        assert self.process
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.signal(signal.SIGCONT)


def version() -> str:
    return subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout.strip()
