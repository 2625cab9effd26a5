"""What a stand-in does with a request, where it does not simply serve it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

Cut = Literal["before the body", "before the answer", "within the answer"]


@dataclass(frozen=True)
class Reply:
    """An answer of a stand-in."""

    status: int
    body: Any = None  # JSON, unless it is bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the bytes of the body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Habit:
    """What becomes of one request, or of all.

    With a reply, the request is answered so, and its message is not accepted. A cut closes the
    connection. It is before the body: nothing was accepted; or later: the message was accepted.
    """

    reply: Reply | None = None
    delay: float = 0.0  # seconds between the request and the answer
    cut: Cut | None = None
    drip: float = 0.0  # seconds before each byte of the answer's body


SERVE = Habit()
CUT_BEFORE_BODY = Habit(cut="before the body")
CUT_BEFORE_ANSWER = Habit(cut="before the answer")
CUT_WITHIN_ANSWER = Habit(cut="within the answer")
HANG = Habit(delay=inf, cut="before the answer")  # accepts the message, and never answers
DRIP = Habit(drip=0.2)  # accepts the message; its answer takes long, without a long pause


def answer(status: int, body: Any = None, delay: float = 0.0, **headers: str) -> Habit:
    """Return a habit that answers with this; `Retry_After="3"` is the header `Retry-After`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Habit(Reply(status, body, named), delay)


def slow(seconds: float) -> Habit:
    """Return a habit that accepts the message at once, and answers after some seconds."""
    return Habit(delay=seconds)
