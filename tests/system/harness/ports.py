"""Ports that nobody listens on, below the range that the kernel hands to clients."""

import itertools
import os
import random
import socket

_random = random.Random(os.getpid())  # any value does: only tells two test runs on one machine apart
_handed_out: set[int] = set()


def free_port() -> int:
    for _ in itertools.repeat(None, 500):
        port = _random.randrange(10000, 20000)  # kafka-local.sh takes 20000 and up
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise RuntimeError("no free port found")
