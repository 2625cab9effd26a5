"""How many messages a provider takes in a time: a burst, and then one at a time."""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """So many messages at once; each takes so many seconds of what may be sent later."""

    burst: int
    seconds: float


class Limiter:
    """Counts messages by what their limits are about, by the generic cell rate algorithm."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.full_at: dict[Hashable, float] = {}  # when all of the burst is there again
        self.lock = threading.Lock()

    def wait(self, limits: Mapping[Hashable, Limit]) -> float:
        """Count a message that is within all limits; return how many seconds it is too early."""
        with self.lock:
            now = self.clock()
            full = {key: max(now, self.full_at.get(key, now)) for key in limits}
            early = [
                full[key] - now - (limit.burst - 1) * limit.seconds for key, limit in limits.items()
            ]
            if (longest := max([0.0, *early])) == 0.0:
                self.full_at |= {key: full[key] + limits[key].seconds for key in limits}
            return longest
