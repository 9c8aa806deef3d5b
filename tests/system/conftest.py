"""Fixtures: clusters once a session, everything else once a test. Whatever a test started is ended with it, and its logs are shown if it failed."""

import os
import pathlib
import shutil
import signal

import pytest

from harness.kafka import Cluster
from harness.layout import Layout
from harness.node import BINARY, Node
from harness.proxy import FaultProxy
from harness.redis_server import RedisServer
from harness.sdk import SdkClient


def _end(*_) -> None:
    raise KeyboardInterrupt


def pytest_sessionstart(session: pytest.Session) -> None:
    # Told to end, as by Ctrl-C: the fixtures end what was started.
    signal.signal(signal.SIGTERM, _end)
    if not session.config.option.collectonly and not BINARY.exists():
        raise pytest.UsageError(f"there is no {BINARY}: scripts/build makes it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if report.failed:
        for process in item.stash.get(_processes, []):
            state = "runs" if process.alive() else f"ended with {process.child.returncode}"
            report.sections.append((f"{process.name} ({state})", process.tail(60)))
            if process.name.startswith("node") and process.alive() and "Timeout" in str(call.excinfo.type if call.excinfo else ""):
                report.sections.append((f"{process.name}: stacks", process.stacks()))
    return report


_processes: pytest.StashKey[list] = pytest.StashKey()


def _cluster(factory: pytest.TempPathFactory, mode: str):
    folder = factory.mktemp(mode)
    cluster = Cluster(folder, mode)
    try:
        yield cluster.start()
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kraft(tmp_path_factory: pytest.TempPathFactory):
    """Kafka 4 with KRaft."""
    yield from _cluster(tmp_path_factory, "kraft")


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory):
    """Kafka 3.9 with ZooKeeper."""
    yield from _cluster(tmp_path_factory, "zookeeper")


@pytest.fixture
def seed() -> int:
    """Every random choice of a test comes from it. WEIR_SEED repeats a run."""
    value = int(os.environ.get("WEIR_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"WEIR_SEED={value}")
    return value


@pytest.fixture
def redis_server(tmp_path: pathlib.Path, request: pytest.FixtureRequest):
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


@pytest.fixture
def make_redis(tmp_path: pathlib.Path):
    """Further servers, or with options of their own."""
    servers: list[RedisServer] = []

    def make(name: str = "redis-2", **options) -> RedisServer:
        servers.append(RedisServer(tmp_path / name, **options))
        return servers[-1].start()

    yield make
    for server in servers:
        server.kill()


@pytest.fixture
def weir_node(tmp_path: pathlib.Path, request: pytest.FixtureRequest):
    """weir_node(topology, ...) starts a node; it is ready when the call returns, unless ready=False."""
    nodes: list[Node] = []

    def start(topology: dict, ready: bool = True, name: str | None = None, **options) -> Node:
        node = Node(tmp_path, topology, name or f"node-{len(nodes) + 1}", **options)
        nodes.append(node)
        node.start()
        request.node.stash.setdefault(_processes, []).append(node.process)
        return node.ready() if ready else node

    yield start
    for node in nodes:
        node.kill()


@pytest.fixture
def restart(request: pytest.FixtureRequest):
    """Starts a stopped node again on its own file, ready when the call returns."""

    def again(node: Node, ready: bool = True) -> Node:
        node.start()
        request.node.stash.setdefault(_processes, []).append(node.process)
        return node.ready() if ready else node

    return again


@pytest.fixture
def sdk(tmp_path: pathlib.Path):
    """sdk(url, table, kind) subscribes with the npm SDK; program="weir-client.mjs" with the package in web/client."""
    clients: list[SdkClient] = []

    def subscribe(url: str, table: str, kind: str, *arguments: str, **options) -> SdkClient:
        clients.append(SdkClient(url, table, kind, tmp_path / f"sdk-{len(clients)}.log", *arguments, **options))
        return clients[-1]

    yield subscribe
    for client in clients:
        client.quit()


@pytest.fixture
def proxy():
    """proxy(port) stands before a port on loopback."""
    proxies: list[FaultProxy] = []

    def make(target: int) -> FaultProxy:
        proxies.append(FaultProxy(target))
        return proxies[-1]

    yield make
    for made in proxies:
        made.close()


@pytest.fixture
def layout():
    """layout(redis_server) reads the tables of the fleet in Redis."""
    return lambda server, topology="fleet", source="readings": Layout(server.client(), topology, source)
