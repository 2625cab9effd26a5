"""Messages to clients in the database: which are due, who has them, and that one is being sent."""

import json
import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, text, update
from sqlalchemy.orm import aliased

from omnidesk.channels.models import NONE, Channel
from omnidesk.conversations.deliveries import OUTGOING, QUEUED, SENDING, UNKNOWN, Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.db.leases import Leases
from omnidesk.db.statements import Statement
from omnidesk.providers.outgoing import Outgoing
from omnidesk.worker.retries import MAX_DELAY
from omnidesk.worker.transactions import in_time

ENDED = "The worker ended while it was sending."
LEASES = Leases(Outbox.__table__, Outbox.__table__.c.channel_id, MAX_DELAY)
SERVED = (Channel.active, Channel.type != NONE)
CHANNELS = Statement(select(Channel.channel_id))
DUE = Statement(
    select(Channel.channel_id, Channel.type).where(
        *SERVED, exists().where(Outbox.channel_id == Channel.channel_id, LEASES.is_due())
    )
)
WAITS = aliased(Message)
FIRST = (
    select(func.min(WAITS.message_id))
    .where(WAITS.conversation_id == Conversation.conversation_id, text(OUTGOING))
    .scalar_subquery()
    .correlate(Conversation)
)

logger = logging.getLogger("omnidesk.worker")


@dataclass(frozen=True)
class ClaimedMessage:
    """A message that a worker has claimed, with all that it takes to send it."""

    channel: Channel
    conversation_id: int
    lease: str
    attempts: int  # before this one
    version: int  # of the message
    queued_at: datetime
    outgoing: Outgoing

    @property
    def message_id(self) -> int:
        """The id of the message."""
        return self.outgoing.message_id


def due() -> dict[int, str]:
    """Return the channels that something is due for, and their types."""
    return dict(DUE.fetch())


def mend() -> None:
    """Bring back what is due too late, on all channels, and commit it."""
    if sum(LEASES.mend(channel_id) for (channel_id,) in CHANNELS.fetch()):
        db.session.commit()


def claim(channel_id: int, count: int) -> list[ClaimedMessage]:
    """Return the first messages of conversations that are due, claimed; commit it.

    What a worker was sending when its lease ended is `unknown` from now on: it may have arrived.
    """
    lease = secrets.token_hex(16)
    rows = {row.conversation_id: row for row in LEASES.claim(channel_id, count, lease)}
    first = first_of(rows.keys())
    if any(message.delivery_state == SENDING for message, _ in first):
        give_up_unfinished(rows.keys())
        first = first_of(rows.keys())
    channel = db.session.get_one(Channel, channel_id)
    found = [
        ClaimedMessage(
            *(channel, message.conversation_id, lease, rows[message.conversation_id].attempts),
            *(message.version, message.delivery_at or utcnow()),
            outgoing_of(message, chat_id),
        )
        for message, chat_id in first
    ]
    for conversation_id in rows.keys() - {claimed.conversation_id for claimed in found}:
        release(conversation_id, lease)
    db.session.commit()
    return found


def give_up_unfinished(conversation_ids: Iterable[int]) -> None:
    """Set what is `sending` in conversations whose lease has ended to `unknown`."""
    unfinished = (
        update(Message)
        .where(Message.conversation_id.in_([*conversation_ids]), text(OUTGOING))
        .where(Message.delivery_state == SENDING)
        .values(delivery_state=UNKNOWN, delivery_at=utcnow(), delivery_error=ENDED)
        .values(Message.as_changed())
        .returning(Message.message_id)
        .execution_options(synchronize_session=False)
    )
    for message_id in db.session.scalars(unfinished):
        log(UNKNOWN, ENDED, message_id=message_id)


def first_of(conversation_ids: Iterable[int]) -> Sequence[Any]:
    """Return the first message to send of each conversation that has one, and its chat's id.

    Each is the first in its conversation's part of an index, however many wait behind it.
    """
    found = (
        select(Message, Conversation.external_chat_id)
        .join(Conversation, Message.message_id == FIRST)
        .where(Conversation.conversation_id.in_([*conversation_ids]))
    )
    return db.session.execute(found).all()


def outgoing_of(message: Message, chat_id: str | None) -> Outgoing:
    """Return a message as the providers take it."""
    meta = json.loads(message.meta or "{}")
    return Outgoing(message.message_id, chat_id or "", message.kind, message.content, meta)


def release(conversation_id: int, lease: str) -> None:
    """Release a conversation; if it has nothing more to send, delete its row of the outbox.

    The caller has changed the row, and so has locked it: a message that is stored meanwhile waits
    for it, and makes the row anew.
    """
    if db.session.scalar(IS_QUEUED, {"conversation_id": conversation_id}):
        LEASES.release(conversation_id, lease, 0.0, attempts=0)
    else:
        db.session.execute(delete(Outbox).where(Outbox.conversation_id == conversation_id))


IS_QUEUED = select(
    exists().where(Message.conversation_id == bindparam("conversation_id"), text(OUTGOING))
)


@in_time()
def begin(claimed: ClaimedMessage) -> bool:
    """Note that a message is being sent from now on, and commit it; return whether it may be.

    Not if the lease is another's by now, or the message was cancelled, changed or erased.
    """
    if not LEASES.renew(claimed.conversation_id, claimed.lease):
        db.session.rollback()
        return False
    mine = (
        update(Message)
        .where(Message.message_id == claimed.message_id, Message.version == claimed.version)
        .where(Message.delivery_state == QUEUED)
        .values(delivery_state=SENDING, delivery_at=utcnow(), delivery_error=None)
        .values(Message.as_changed())
        .execution_options(synchronize_session=False)
    )
    done: Any = db.session.execute(mine)
    if not (begun := done.rowcount == 1):
        release(claimed.conversation_id, claimed.lease)
    db.session.commit()
    return bool(begun)


@in_time()
def give_back(claimed: ClaimedMessage, seconds: float) -> None:
    """Let a conversation be claimed again in so many seconds, and commit it."""
    LEASES.release(claimed.conversation_id, claimed.lease, seconds)
    db.session.commit()


def log(state: str, reason: str | None, **fields: Any) -> None:
    """Log what became of a message, without what it says; `fields` are keys of the line's JSON."""
    text = f"Message {fields['message_id']} {state}" + (f": {reason}" if reason else "")
    logger.info("%s", text, extra={"fields": {**fields, "state": state}})
