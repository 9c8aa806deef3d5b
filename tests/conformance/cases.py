"""Runs Autobahn's cases against conformance_echo and says what came of them. See run."""

import asyncio
import collections
import contextlib
import importlib
import subprocess
import sys
import time

from kosoku import FailureError, _caseindex, run_fuzzingclient

COMPRESSION = ["12.*", "13.*"]
# Autobahn's verdicts that conform; NON-STRICT: a SHOULD, or a better moment to fail, was missed. The others are failures, be it of the messages
# or of the closing handshake; UNIMPLEMENTED too: compression that was not agreed on has not been tried.
CONFORM = {"OK", "INFORMATIONAL", "NON-STRICT"}
COUNTS = {False: 301, True: 517}  # without and with compression: fewer prove less than they seem to


@contextlib.contextmanager
def echo(binary: str, through: str):
    """The URL of an echo of weir's, sending text back by this way."""
    child = subprocess.Popen([binary, through], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = child.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{binary} did not start: exit {child.wait(10)}")
        yield f"ws://127.0.0.1:{line}/connection/websocket"
        if child.poll() is not None:
            raise SystemExit(f"{binary} ended by itself: exit {child.returncode}")
        child.stdin.close()
        if child.wait(20) != 0:
            raise SystemExit(f"{binary} failed at its end: exit {child.returncode}")
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()


def take_uncompressed_messages() -> None:
    """Lets the cases of compression see a message that came uncompressed, which RFC 7692 (6.1) leaves to the sender.

    weir sends text of less than 128 bytes and binary messages so, and all that goes to a client that asked for a smaller window. kosoku hands an
    uncompressed message over as a string with a character for each byte, a compressed one as bytes; these cases only know bytes.
    """
    _caseindex.initialize_shims()
    module = importlib.import_module("case12_x_x")
    on_message = module.onMessage

    def with_bytes(case, message, binary):
        on_message(case, message.encode("latin-1") if isinstance(message, str) else message, binary)

    for case in module.Case12_X_X + module.Case13_X_X:
        case.onMessage = with_bytes


def run(binary: str, through: str, cases: list[str] | None, without: list[str] | None) -> list:
    with echo(binary, through) as url:
        try:
            return asyncio.run(run_fuzzingclient(url, cases, without, concurrency=1))
        except FailureError as failure:
            return failure.results


def verdict(case) -> str:
    words = (case.behavior.value, case.behavior_close.value)
    return next((word for word in words if word not in CONFORM), next((word for word in words if word not in ("OK", "INFORMATIONAL")), words[0]))


def main() -> int:
    binary, *words = sys.argv[1:]
    take_uncompressed_messages()
    wanted = [word for word in words if word != "--all"]
    if any(word.startswith("-") for word in wanted):
        raise SystemExit(f"unknown argument in {' '.join(words)} (see --help)")
    began = time.monotonic()
    if wanted:
        # Publications are what weir compresses by itself, once for all sessions.
        compressed = [word for word in wanted if word.startswith(("12", "13"))]
        plain = [word for word in wanted if word not in compressed]
        results = (run(binary, "reply", plain, None) if plain else []) + (run(binary, "push", compressed, None) if compressed else [])
    else:
        results = run(binary, "reply", None, COMPRESSION)
        if "--all" in words:
            results += run(binary, "push", COMPRESSION, None)
    if not results:
        raise SystemExit(f"no case is named {' '.join(wanted)}")
    if not wanted and len(results) != COUNTS["--all" in words]:
        raise SystemExit(f"{len(results)} cases were run, not {COUNTS['--all' in words]}: has Autobahn's list changed?")
    count = collections.Counter(verdict(case) for case in results)
    for case in results:
        if verdict(case) not in ("OK", "INFORMATIONAL"):
            print(f"{case.case_id:8} {verdict(case)}: {case.result} {case.result_close}")
    failed = sum(number for name, number in count.items() if name not in CONFORM)
    print(f"{time.monotonic() - began:.0f} s: " + ", ".join(f"{number} {name}" for name, number in count.most_common()))
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
