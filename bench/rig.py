"""What the benches in Python share: a broker in a folder of its own, a Redis as users run it, and the topology around their tables."""

import contextlib
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

import redis
from harness.kafka import Cluster
from harness.redis_server import RedisServer


class Redis(RedisServer):
    """As a user would run it: append-only file, synced every second, on a unix socket."""

    def __init__(self, folder: pathlib.Path):
        self.path = str(folder / "r.sock")
        super().__init__(folder, arguments=("--unixsocket", self.path))

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def client(self, **options) -> redis.Redis:
        # Questions over all keys of a full server take their time.
        return redis.Redis(unix_socket_path=self.path, socket_timeout=60, **options)


@contextlib.contextmanager
def broker(name: str, keep: pathlib.Path | None = None, **options) -> Iterator[tuple[pathlib.Path, Cluster]]:
    """A folder and a broker (options of harness.kafka.Cluster) in it. Both are gone afterwards, but for a folder that is to be kept."""
    folder = keep or pathlib.Path(tempfile.mkdtemp(prefix=f"weir-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder / "kafka", "kraft", **options).start()
    try:
        yield folder, cluster
    finally:
        cluster.stop()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def topology(bootstrap: str, server: RedisServer, topic: str, tables: dict, **more) -> dict:
    """Tables over the source `readings`, in a consumer group that nobody had before."""
    return {"topology": "bench", "kafka": {"brokers": bootstrap, "group": f"bench-{time.monotonic_ns()}"}, "redis": {"url": server.url},
            "sources": {"readings": {"topic": topic}}, "tables": tables, **more}
