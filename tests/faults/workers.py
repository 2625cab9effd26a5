"""Workers in processes of their own: whether they have started, and what one waits for."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when something is so; raise AssertionError if that takes too long."""
    give_up_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def started(log: Path) -> int:
    """Return how many workers have started, as their log tells."""
    return log.read_text().count("The worker has started.") if log.exists() else 0
