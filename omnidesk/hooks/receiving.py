"""The storing of what providers tell: all updates of a body in one transaction, each once."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from omnidesk.channels.models import Channel
from omnidesk.clients.identities import Identity
from omnidesk.db import db
from omnidesk.hooks.changes import change_id, delete_message, edit_message, known_message
from omnidesk.hooks.providers import read_updates
from omnidesk.hooks.statuses import note_status
from omnidesk.hooks.unsupported import keep
from omnidesk.inbound.chats import Chat
from omnidesk.inbound.receiving import Received, store, until_stored
from omnidesk.inbound.writers import Writer
from omnidesk.providers.parts import loads
from omnidesk.providers.updates import (
    DeliveryStatus,
    IdChanged,
    InboundMessage,
    MessageDeleted,
    MessageEdited,
    Unsupported,
    Update,
)

MAX_AT_ONCE = 50  # updates in a transaction; WhatsApp sends up to 1,000 in a body
# What is told in one body: new ids of people first, then what they wrote, then what changed of it.
ORDER = {IdChanged: 0, InboundMessage: 1}
LATEST = datetime.max.replace(tzinfo=UTC)


def receive_body(channel: Channel, body: bytes) -> None:
    """Store all that a body tells; what is not understood is kept as it came.

    Up to `MAX_AT_ONCE` updates are stored together or not at all. More are stored in steps, so that
    others can write in between, and a body that is sent again for want of time gets further.
    """
    value = loads(body)
    updates = read_updates(channel, value) if value is not None else None
    if updates is None:
        updates = [Unsupported(body.decode(errors="replace"))]
    updates.sort(key=order)
    for first in range(0, len(updates), MAX_AT_ONCE):
        store_step(channel, updates[first : first + MAX_AT_ONCE])


def store_step(channel: Channel, updates: list[Update]) -> None:
    """Store updates in one transaction, and commit."""
    until_stored(lambda: store_all(channel, updates))
    db.session.commit()


def order(update: Update) -> tuple[int, datetime]:
    """Return the place of an update among those that came in the same body."""
    sent_at = update.sent_at if isinstance(update, InboundMessage) else None
    return ORDER.get(type(update), 2), sent_at or LATEST


def store_all(channel: Channel, updates: list[Update]) -> None:
    """Store updates; raise IntegrityError where others are faster.

    Several may be of several chats: the lock of all identities, taken first, keeps them from
    waiting for each other.
    """
    is_locked = len(updates) > 1
    if is_locked:
        Identity.lock_all()
    for update in updates:
        STORING[type(update)](channel, update, is_locked)
    db.session.flush()


def store_message(
    channel: Channel,
    message: InboundMessage,
    is_locked: bool,
    edited_at: datetime | None = None,
) -> Received:
    """Store a message, once; keep it as it came where it was not understood."""
    person, by_client = message.person, message.sender == "client"
    stands_for_user = person.user_id == message.chat_id
    writer = Writer(
        Chat(channel.channel, message.chat_id),
        None if stands_for_user else person.user_id,
        *(person.name, person.email, person.phone, person.other_id),
    )
    fields = {
        "external_message_id": message.message_id,
        "kind": message.kind,
        "content": message.content,
        "meta": message.meta,
        "sent_at": message.sent_at,
        "edited_at": edited_at,
    }
    received = store(
        writer,
        fields,
        handled_by_bot=channel.bot_first and by_client,
        sender=message.sender,
        is_locked=is_locked,
    )
    if message.raw is not None and received.is_new:
        keep(channel, message.raw, received.message.message_id)
    return received


def store_edit(channel: Channel, edited: MessageEdited, is_locked: bool) -> None:
    """Change the text of a message, or store it where it did not come before."""
    message = edited.message
    known = known_message(channel, edited.chat_ids, message.message_id)
    if known is None:
        received = store_message(channel, message, is_locked, edited.edited_at)
        known = None if received.is_new else received.message
    if known is not None:
        edit_message(known, message.content, edited.edited_at)


STORING: dict[type[Any], Callable[[Channel, Any, bool], object]] = {
    InboundMessage: store_message,
    MessageEdited: store_edit,
    MessageDeleted: lambda channel, deleted, _: delete_message(channel, deleted),
    DeliveryStatus: lambda channel, status, _: note_status(channel, status),
    IdChanged: lambda channel, changed, _: change_id(channel, changed),
    Unsupported: lambda channel, found, _: keep(channel, found.raw),
}
