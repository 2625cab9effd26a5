"""Which messages the providers of channels can send, so that others are refused at once."""

import json
from typing import Any

from omnidesk.conversations.messages import Message
from omnidesk.db import RuleViolation
from omnidesk.egress import ForbiddenUrl
from omnidesk.egress.urls import parse_url

MAX_TEXT, MAX_CAPTION = 4096, 1024  # code points
MAX_EXTERNAL_ID: Any = Message.external_message_id.type.length  # code points
MEDIA = ("image", "audio", "video", "file")
LOCATION = {"latitude": 90, "longitude": 180}  # degrees at most, north or south, east or west
SENDABLE = ("text", *MEDIA, "location")
WITHOUT_TEXT = {"whatsapp": ("audio",), "telegram": ("location",)}  # kinds


def require_sendable(provider: str, message: Message) -> None:
    """Raise RuleViolation for a message that a provider cannot send, or only in part.

    A webhook is the operator's own program, and gets all as it is.
    """
    if provider == "webhook":
        return
    if message.kind not in SENDABLE:
        raise RuleViolation("kind", f"Not sent on this channel: only {', '.join(SENDABLE)}.")
    require_length(provider, message)
    meta = json.loads(message.meta or "{}")
    if message.kind in MEDIA:
        require_url(meta.get("url"))
    elif message.kind == "location":
        require_location(meta)
    require_reply(meta.get("reply_to"))


def require_length(provider: str, message: Message) -> None:
    """Raise RuleViolation for a text that is too long for its kind."""
    longest = MAX_TEXT if message.kind == "text" else MAX_CAPTION
    if message.content and message.kind in WITHOUT_TEXT.get(provider, ()):
        raise RuleViolation("content", f"Must be empty: {message.kind} is sent without a text.")
    if len(message.content) > longest:
        raise RuleViolation("content", f"At most {longest} characters on this channel.")


def require_url(url: Any) -> None:
    """Raise RuleViolation unless the provider can fetch a file from a URL."""
    try:
        if isinstance(url, str) and parse_url(url).scheme == "https":
            return
    except ForbiddenUrl:
        pass
    raise RuleViolation("meta", "url must be the address of the file, which begins with https://.")


def require_location(meta: dict[str, Any]) -> None:
    """Raise RuleViolation unless the latitude and the longitude are degrees."""
    for name, limit in LOCATION.items():
        degrees: Any = meta.get(name)
        is_number = isinstance(degrees, int | float) and not isinstance(degrees, bool)
        if not (is_number and -limit <= degrees <= limit):
            raise RuleViolation("meta", f"{name} must be a number from -{limit} to {limit}.")


def require_reply(reply_to: Any) -> None:
    """Raise RuleViolation unless the message that it replies to is named, or none is."""
    is_id = isinstance(reply_to, str) and 1 <= len(reply_to) <= MAX_EXTERNAL_ID
    if reply_to is not None and not is_id:
        raise RuleViolation("meta", "reply_to must be the external_message_id of a message.")
