"""What providers tell, in one form for all of them."""

from datetime import datetime
from typing import Any, NamedTuple


class Person(NamedTuple):
    """A user of a channel, and what the provider tells of them."""

    user_id: str
    other_id: str | None = None  # by which the same person was or is known, too
    name: str | None = None
    phone: str | None = None
    email: str | None = None


class InboundMessage(NamedTuple):
    """A message that is in a chat on its channel.

    Its sender is `client`, or `user` for what the business wrote in the provider's own app.
    """

    chat_id: str
    person: Person  # the client
    message_id: str  # the provider's
    kind: str
    content: str
    meta: str | None  # a JSON object
    sent_at: datetime | None
    sender: str = "client"
    raw: Any = None  # as it came, where not all of it was understood


class MessageEdited(NamedTuple):
    """A message has another text."""

    message: InboundMessage  # as it is now
    chat_ids: tuple[str, ...]  # under one of which the provider may know the chat
    edited_at: datetime | None  # by the clock of the channel


class MessageDeleted(NamedTuple):
    """A message was deleted by whoever wrote it."""

    chat_ids: tuple[str, ...]  # under one of which the provider may know the chat
    message_id: str  # the provider's


class DeliveryStatus(NamedTuple):
    """What became of a message to a client: `sent`, `delivered`, `read` or `failed`."""

    chat_ids: tuple[str, ...]  # under one of which the provider may know the chat
    external_message_id: str | None
    message_id: int | None  # our own, where the provider tells it
    state: str
    error: str | None


class IdChanged(NamedTuple):
    """A chat, or a user, has another id from now on."""

    old: str
    new: str


class Unsupported(NamedTuple):
    """What was not understood, as it came."""

    raw: Any


Update = InboundMessage | MessageEdited | MessageDeleted | DeliveryStatus | IdChanged | Unsupported
