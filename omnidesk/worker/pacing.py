"""How fast one may send: some at once, and then one after the other (generic cell rate)."""

from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic

from omnidesk.providers.outgoing import Pace

MAX_KEYS = 10_000  # then those are forgotten that may send at once


class Pacer:
    """Counts what this worker sends. Another worker counts its own."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.clock, self.lock = clock, Lock()
        self.full_at: dict[Hashable, float] = {}  # when as many may be sent at once as ever

    def room(self, key: Hashable, pace: Pace | None, wanted: int) -> int:
        """Return how many of so many may be sent now."""
        if pace is None:
            return wanted
        with self.lock:
            used = max(0.0, self.full_at.get(key, 0.0) - self.clock()) / pace.seconds
        return max(0, min(wanted, int(pace.burst - used + 1e-9)))

    def take(self, key: Hashable, pace: Pace | None, count: int = 1) -> None:
        """Count what is sent."""
        if pace is None or not count:
            return
        with self.lock:
            now = self.clock()
            if len(self.full_at) >= MAX_KEYS:
                self.full_at = {other: at for other, at in self.full_at.items() if at > now}
            self.full_at[key] = max(now, self.full_at.get(key, now)) + count * pace.seconds

    def wait(self, key: Hashable, pace: Pace | None) -> float:
        """Count one that is sent now and return 0, or return for how many seconds it must wait."""
        if pace is None:
            return 0.0
        if self.room(key, pace, 1):
            self.take(key, pace)
            return 0.0
        with self.lock:
            ahead = self.full_at.get(key, 0.0) - self.clock()
        return max(0.01, ahead - (pace.burst - 1) * pace.seconds)
