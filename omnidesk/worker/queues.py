"""What the worker asks of a queue: of messages to clients, or of webhooks."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Queue(Protocol):
    """Things to send, each to a destination that the queue has a number for.

    Every method is called in an app context of its own, whose session is removed afterwards, and
    commits what it changes. When the database fails, they raise its errors: the worker waits and
    asks again. `send` is called in a thread, the others are not.
    """

    name: str

    def step(self) -> bool:
        """Do what is to be done before the claims of a round; return whether there is more."""

    def due(self) -> Iterable[int]:
        """Return the destinations that something is due for."""

    def claim(self, destination: int, count: int) -> Sequence[Any]:
        """Return at most so many things for a destination, which nobody else sends meanwhile."""

    def send(self, item: Any) -> bool:
        """Send one and note what became of it; return whether its destination works.

        While a destination does not work, it gets one at a time, after pauses. An item that this
        raises an error for is left to whoever claims it when its lease has ended.
        """

    def give_back(self, item: Any) -> None:
        """Let others claim what will not be sent, since the worker ends."""

    def prune(self) -> None:
        """Delete what is no longer needed; called once an hour."""
