"""How many threads may send to one destination, so that a dead one holds up no other."""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

MAX_PAUSE = 15.0  # seconds between two tries of a destination that does not work


@dataclass
class State:
    """What is known of one destination."""

    busy: int = 0  # threads that send to it
    works: bool = False  # the last time; not known before the first
    failures: int = 0  # since it last worked
    paused_until: float = 0.0  # monotonic


class Destinations:
    """The threads, shared among destinations.

    One that has worked may have as many as it leaves free. A new one has one, and so has one that
    fails, after pauses; all that fail have half of the threads together. A quarter of them is for
    destinations that have none: many may die at once, and each is known to fail only later.
    """

    def __init__(self, threads: int) -> None:
        self.threads, self.kept = threads, threads // 4
        self.states: defaultdict[Hashable, State] = defaultdict(State)
        self.lock = Lock()

    def room(self, key: Hashable) -> int:
        """Return how many more threads may send to a destination now."""
        with self.lock:
            state = self.states.get(key) or State()
            if state.failures:
                return self.room_of_failing(state)
            free = self.free()
            first = int(free > 0 and not state.busy)
            more = min((free - state.busy + 1) // 2, free - self.kept)
            return max(first, more) if state.works else first

    def room_of_failing(self, state: State) -> int:
        """Return whether a destination that fails may be tried now, as a number."""
        failing = sum(other.busy for other in self.states.values() if other.failures)
        has_room = self.free() > 0 and failing < max(1, self.threads // 2)
        return int(has_room and not state.busy and monotonic() >= state.paused_until)

    def free(self) -> int:
        """Return how many threads have nothing to do."""
        return self.threads - sum(state.busy for state in self.states.values())

    def begin(self, key: Hashable) -> None:
        """Note that a thread sends to a destination."""
        with self.lock:
            self.states[key].busy += 1

    def end(self, key: Hashable, *, works: bool) -> None:
        """Note that a thread has sent to a destination, and whether that works."""
        with self.lock:
            state = self.states[key]
            state.busy -= 1
            state.works = works
            if works:
                state.failures = 0
            else:
                state.failures += 1
                state.paused_until = monotonic() + pause(state.failures)

    @property
    def busy(self) -> int:
        """How many threads are sending."""
        with self.lock:
            return self.threads - self.free()


def pause(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row: one may be chance."""
    return 0.0 if failures < 2 else min(MAX_PAUSE, 0.25 * 2 ** min(failures - 2, 10))
