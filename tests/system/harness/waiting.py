"""Waiting for a condition with a deadline, never for a time."""

import time
from typing import Callable, TypeVar

T = TypeVar("T")
poll_pause = 0.02


def wait_for(condition: Callable[[], T], seconds: float, what: str | Callable[[], str]) -> T:
    """The condition's first true value; AssertionError, saying what was waited for, once the time is over."""
    deadline = time.monotonic() + seconds
    pause = poll_pause
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(pause)  # between two polls
        pause = min(pause * 1.3, 0.5)


def holds_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """That something does *not* happen can only be watched for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), what
        time.sleep(poll_pause)
