"""What is sent to a client, how it is asked of a provider, and what the answer means."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from omnidesk.egress import Answer

Whose = Literal["chat", "channel"]
MAX_REASON = 300  # code points that are kept of what a provider says


@dataclass(frozen=True)
class Outgoing:
    """A message to a client; `meta` is what is known of its file, place or reply."""

    message_id: int
    chat_id: str  # what the provider calls the chat
    kind: str
    content: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Request:
    """A request to a provider. Its URL and headers hold secrets, so it is shown to nobody."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Return nothing of it."""
        return "Request()"


@dataclass(frozen=True)
class Pace:
    """How fast a provider takes messages: a burst at once, then one every so many seconds."""

    burst: int
    seconds: float


@dataclass(frozen=True)
class Sent:
    """The provider has taken it; it calls the message by this id, if by any."""

    external_message_id: str | None


@dataclass(frozen=True)
class Refused:
    """The provider will never take it."""

    reason: str


@dataclass(frozen=True)
class TryAgain:
    """It was not taken and can be sent later, after so many seconds if the provider says so.

    Others on the `channel` meet the same, or only those in the `chat`.
    """

    reason: str
    after: float | None = None
    whose: Whose = "channel"


@dataclass(frozen=True)
class Unclear:
    """It was sent, and nobody knows whether it was taken."""

    reason: str


Outcome = Sent | Refused | TryAgain | Unclear


class CannotSend(Exception):  # noqa: N818 - a state of the message, which callers act on
    """The provider has no request for such a message."""


class NotConfigured(Exception):  # noqa: N818 - a state of the channel
    """The channel lacks a setting or a secret, without which nothing can be sent."""


def json_request(url: str, body: Mapping[str, Any], **headers: str) -> Request:
    """Return a request with a JSON object."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Request(url, {"Content-Type": "application/json", **headers}, content)


def object_in(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer, an empty one where it has none."""
    try:
        found = json.loads(answer.body, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def refuse_constant(name: str) -> None:
    """Raise ValueError for NaN and Infinity, which are no JSON, and no number of seconds."""
    raise ValueError(name)


def said(*texts: object) -> str:
    """Return the first text of a provider's that says something, on one line."""
    for text in texts:
        if isinstance(text, str) and (line := " ".join(printable(text).split())):
            return line
    return "No reason was given."


def printable(text: str) -> str:
    """Return a text without what no database stores."""
    return "".join(c if c.isprintable() else " " for c in text)


def address(meta: Mapping[str, Any]) -> str:
    """Return the address of a message's file; raise CannotSend without one."""
    url = meta.get("url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise CannotSend("meta.url must be the address of the file, beginning with https://.")
    return url


def place(meta: Mapping[str, Any]) -> tuple[float, float]:
    """Return the latitude and longitude of a place; raise CannotSend without them."""
    found = (meta.get("latitude"), meta.get("longitude"))
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in found):
        raise CannotSend("meta.latitude and meta.longitude must be numbers.")
    return found  # type: ignore[return-value]
