"""Imported messages, and their conversations: closed, and neither unread nor waiting."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import MAX_ID, db, utcnow
from omnidesk.db.inserts import insert_all
from omnidesk.imports.models import SourceRow
from omnidesk.imports.rows import Row

FIELDS = ("sender", "content", "kind", "meta", "external_message_id", "sent_at")
GOES_ON = "The conversation goes on, or has messages that nobody has read."
NEW = "The conversation is new: say which client it is with."


def check_messages(rows: Sequence[Row]) -> None:
    """Refuse messages of conversations that go on, and of new ones without a client."""
    known = conversations({row.found["conversation_id"] for row in rows} - {None})
    begun = set()
    for row in rows:
        conversation = known.get(row.found["conversation_id"])
        if conversation is None and row.found["client_id"] is not None:
            begun.add(row.values["conversation_external_id"])
        elif conversation is None and row.values["conversation_external_id"] not in begun:
            row.refuse({"client_external_id": [NEW]})
        elif conversation and (conversation.active or conversation.unread_count):
            row.refuse({"conversation_id": [GOES_ON]})


def conversations(ids: set[Any]) -> dict[int, Conversation]:
    """Return conversations by their ids, as they are now."""
    some = select(Conversation).where(Conversation.conversation_id.in_(ids))
    fresh = some.execution_options(populate_existing=True)
    return {found.conversation_id: found for found in db.session.scalars(fresh)} if ids else {}


def add_messages(source: str, rows: Sequence[Row]) -> list[int]:
    """Store messages in their conversations, made where they are new; return their ids."""
    begin_conversations(source, rows)
    touched = conversations({row.found["conversation_id"] for row in rows})
    messages = [new_message(row) for row in rows]
    moved = {message.conversation_id for message in messages if not message.is_note}
    last_ids = {key: touched[key].last_message_id for key in moved}
    for key in moved:
        touched[key].last_message_id = MAX_ID  # no message is newer, so that a trigger moves none
    db.session.flush()
    ids = insert_all(messages)
    for key in moved:
        touched[key].last_message_id = last_ids[key]
    for message, message_id in zip(messages, ids, strict=True):
        update_conversation(touched[message.conversation_id], message, message_id)
    db.session.flush()
    return ids


def begin_conversations(source: str, rows: Sequence[Row]) -> None:
    """Store the conversations that are not known yet, and let their messages refer to them."""
    first: dict[str, Row] = {}
    for row in rows:
        if row.found["conversation_id"] is None:
            first.setdefault(row.values["conversation_external_id"], row)
    ids = insert_all([new_conversation(source, row) for row in first.values()])
    begun = dict(zip(first, ids, strict=True))
    SourceRow.note(source, "conversation", begun)
    for row in rows:
        row.found["conversation_id"] = (
            row.found["conversation_id"] or begun[row.values["conversation_external_id"]]
        )


def new_conversation(source: str, row: Row) -> Conversation:
    """Return the closed conversation that a message begins."""
    channel = row.values.get("channel") or source
    began_at = row.values.get("created_at") or utcnow()
    new = Conversation.new(client_id=row.found["client_id"], channel=channel)
    new.active, new.created_at, new.updated_at = False, began_at, began_at
    return new


def new_message(row: Row) -> Message:
    """Return a message as it was written."""
    values = {name: row.values[name] for name in FIELDS if name in row.values}
    written_at = row.values.get("created_at") or utcnow()
    found = {name: row.found[name] for name in ("conversation_id", "user_id")}
    return Message(**values, **found, created_at=written_at)


def update_conversation(conversation: Conversation, message: Message, message_id: int) -> None:
    """Set what a conversation shows of a new message, which counts as read."""
    at = message.created_at
    conversation.created_at = min(conversation.created_at, at)
    conversation.client_message_count += message.by_client
    if not message.is_note:
        conversation.last_message_id = conversation.read_up_to = message_id
        conversation.last_message_at = max(conversation.last_message_at or at, at)
        conversation.updated_at = max(conversation.updated_at, at)
