"""Run a stand-in as a program, for somebody who tries the desk without a provider."""

import argparse
import signal
import sys
from typing import Any, Protocol

from tests.providers.serving import CONTROL
from tests.providers.standin import StandIn


class Making(Protocol):
    """A class of stand-ins."""

    def __call__(self, port: int) -> StandIn:
        """Return a stand-in that listens on a port."""


def run(make: Making, **attributes: Any) -> None:
    """Serve until Ctrl-C, and print each message that was accepted."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--hook", default="", help="where updates are sent to")
    arguments = parser.parse_args()
    # Who starts a program in the background may let it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with make(arguments.port) as standin:
        for name, value in {**attributes, "hook": arguments.hook}.items():
            setattr(standin, name, value)
        print(f"{standin.url} ({CONTROL}messages, {CONTROL}say)", flush=True)  # noqa: T201 - its output
        follow(standin)


def follow(standin: StandIn) -> None:
    """Print each message that is accepted, until Ctrl-C."""
    seen = 0
    try:
        while True:
            messages = standin.wait_for(seen + 1, timeout=3600 * 24)
            for message in messages[seen:]:
                print(message.recipient, message.text, sep="\t", flush=True)  # noqa: T201 - likewise
            seen = len(messages)
    except (KeyboardInterrupt, TimeoutError):
        return
