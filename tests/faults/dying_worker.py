"""Workers that die at a step: `python -m tests.faults.dying_worker SIGNAL`, with steps on stdin.

Each line is a step and how often it is done before. A worker is forked that gets the signal there.
A leased message is claimed again after a second. The number of each worker is printed, and
then how it has ended.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from omnidesk.db import leases
from omnidesk.egress import Connection
from omnidesk.worker import __main__ as worker
from omnidesk.worker import messages, outbox, process, results

# Where each step is: an object, one of its functions, and whether before or after it.
STEPS: dict[str, tuple[Any, str, bool]] = {
    "claiming": (outbox.LEASES, "claim", True),
    "claimed": (outbox, "claim", True),
    "connecting": (messages, "connect", False),
    "connected": (messages, "connect", True),
    "beginning": (outbox.LEASES, "renew", True),
    "begun": (outbox, "begin", True),
    "half written": (Connection, "send", False),
    "written": (Connection, "send", True),
    "answered": (Connection, "request", True),
    "recording": (results, "store", True),
    "recorded": (messages, "record", True),
}
LEASE_SECONDS = 1.0


def arm(step: str, count: int, number: int) -> None:
    """Let this process get a signal at a step, when it was done so often before."""
    place, name, is_after = STEPS[step]
    act, left = getattr(place, name), [count]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not is_after:
            reach(left, number, lambda: half(act, args) if step == "half written" else None)
        found = act(*args, **kwargs)
        if is_after:
            reach(left, number)
        return found

    setattr(place, name, wrapped)


def half(send: Callable[..., None], args: Any) -> None:
    """Write half of a request."""
    connection, sent, deadline = args
    send(connection, sent[: len(sent) // 2], deadline)


def reach(left: list[int], number: int, before: Callable[[], None] = lambda: None) -> None:
    """Note that the step is done; send the signal if it was done often enough."""
    left[0] -= 1
    if left[0] == 0:
        before()
        os.kill(os.getpid(), number)


def work(step: str, count: int, number: int) -> None:
    """Be a worker that gets a signal at a step."""
    leases.LEASE_SECONDS = LEASE_SECONDS
    if step != "none":
        arm(step, count, number)
    process.run(worker.make_app())


def main(number: int) -> None:
    """Fork a worker for each line, one after the other."""
    for line in sys.stdin:
        step, _, count = line.strip().rpartition(" ")
        if not (child := os.fork()):
            random.seed()
            with suppress(KeyboardInterrupt):
                work(step, int(count), number)
            os._exit(0)
        print(child, flush=True)  # noqa: T201 - what the test reads
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main(signal.Signals[sys.argv[1]])
