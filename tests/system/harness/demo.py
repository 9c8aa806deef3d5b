"""`weir demo` as a process."""

import contextlib
import pathlib

import requests

from .node import BINARY
from .ports import free_port
from .processes import Process
from .waiting import wait_for


def wait_ready(process: Process, url: str) -> None:
    """Until a process that is no harness.node.Node is ready; fails with its log where it ends before."""

    def ready() -> bool:
        assert process.alive(), process.tail()
        try:
            return requests.get(url + "/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    wait_for(ready, 60, lambda: f"{process.name} to be ready\n{process.tail()}")


@contextlib.contextmanager
def running_demo(folder: pathlib.Path, *arguments: str):
    """Gives the process and its address; ready when the body begins, ended with it."""
    port = free_port()
    process = Process("node demo", [str(BINARY), "demo", "--listen", f"127.0.0.1:{port}", *arguments], folder / "demo.log")
    url = f"http://127.0.0.1:{port}"

    try:
        wait_ready(process, url)
        yield process, url
    finally:
        process.kill()
