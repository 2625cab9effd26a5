"""What an operator's own program tells: `{"type": ..., "data": {...}}`, as docs/api/hooks.md says.

The data of a message are those of an inbound message, without the channel.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from email_validator import EmailNotValidError

from omnidesk.db.folding import validated_email
from omnidesk.providers.parts import (
    MAX_NAME,
    Part,
    identifier,
    message_id,
    meta_text,
    part,
    plain,
    text,
)
from omnidesk.providers.updates import (
    DeliveryStatus,
    InboundMessage,
    MessageDeleted,
    MessageEdited,
    Person,
    Unsupported,
    Update,
)

KINDS = ("image", "audio", "video", "file", "location", "contact", "sticker", "reaction")
SENDERS = ("client", "user")
STATES = ("sent", "delivered", "read", "failed")
MAX_EMAIL, MAX_PHONE, MAX_ERROR = 254, 32, 500  # code points
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,20}(Z|[+-][0-9]{2}:?[0-9]{2})")

Found = Update | None


def read(body: Any) -> Iterator[Update]:
    """Yield what a body tells: one thing."""
    reader = READERS.get(text(part(body), "type") or "")
    yield (reader and reader(part(body, "data"))) or Unsupported(body)


def read_message(data: Part) -> InboundMessage | None:
    """Return a message; None without a chat or an id, and for one of another sender."""
    chat, known = identifier(data, "external_chat_id"), identifier(data, "external_message_id")
    sender = "client" if data.get("sender") is None else data["sender"]
    if not (chat and known and sender in SENDERS):
        return None
    kind, content = data.get("kind", "text"), text(data, "content") or ""
    is_known = kind in KINDS or (kind == "text" and content)
    person = person_of(identifier(data, "external_user_id") or chat, part(data, "client"))
    return InboundMessage(
        chat,
        person,
        known,
        str(kind) if is_known else "unsupported",
        content,
        meta_text(plain(part(data, "meta"))),
        time(data, "sent_at"),
        sender,
        None if is_known else data,
    )


def person_of(user_id: str, client: Part) -> Person:
    """Return who a message is of."""
    name = text(client, "full_name", MAX_NAME)
    phone, email = text(client, "phone", MAX_PHONE), text(client, "email", MAX_EMAIL + 1)
    return Person(user_id, None, name, phone, email if email and is_email(email) else None)


def is_email(email: str) -> bool:
    """Return whether it is an e-mail address that can be stored."""
    try:
        validated_email(email)
    except EmailNotValidError:
        return False
    return len(email) <= MAX_EMAIL


def time(data: Part, name: str) -> datetime | None:
    """Return a time with an offset, to the second; None for none."""
    found = data.get(name)
    try:
        if isinstance(found, str) and TIME.fullmatch(found):
            at = datetime.fromisoformat(found).astimezone(UTC)
            return at.replace(microsecond=0) if 1970 <= at.year <= 2199 else None
    except (ValueError, OverflowError):
        pass
    return None


def read_edit(data: Part) -> Found:
    """Return that a message has another text."""
    found = read_message(data)
    return None if found is None else MessageEdited(found, (found.chat_id,), None)


def read_deletion(data: Part) -> Found:
    """Return that a message was deleted."""
    chat, known = identifier(data, "external_chat_id"), identifier(data, "external_message_id")
    return MessageDeleted((chat,), known) if chat and known else None


def read_status(data: Part) -> Found:
    """Return what became of a message, which is named by our id or by that of its channel."""
    chat, known = identifier(data, "external_chat_id"), identifier(data, "external_message_id")
    ours, state = message_id(data, "message_id"), data.get("state")
    if state not in STATES or not (ours or (chat and known)):
        return None
    chats = (chat,) if chat else ()
    error = text(data, "error", MAX_ERROR) if state == "failed" else None
    return DeliveryStatus(chats, known, ours, str(state), error)


READERS: dict[str, Callable[[Part], Found]] = {
    "message": read_message,
    "edit": read_edit,
    "delete": read_deletion,
    "status": read_status,
}
