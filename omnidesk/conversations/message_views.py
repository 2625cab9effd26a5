"""The routes of messages."""

from typing import Any, TypeVar

from omnidesk.conversations.fields import MAX_VALUES
from omnidesk.conversations.finding import searched
from omnidesk.conversations.locking import locked_conversation
from omnidesk.conversations.message_schemas import (
    MessageCreate,
    MessagePatch,
    MessageQuery,
    MessageSchema,
    MessageSearch,
)
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import CONVERSATION_EXISTS
from omnidesk.conversations.views import RELAY, blp
from omnidesk.db import db
from omnidesk.http import PreparedSelect, current_user, words_filters
from omnidesk.http.conflicts import conflict
from omnidesk.http.errors import http_error, insufficient_scope
from omnidesk.http.responses import STORED

__all__ = ["blp"]

Found = TypeVar("Found")
MESSAGES = "/conversations/<id:conversation_id>/messages"


@blp.get(MESSAGES)
@blp.arguments(MessageQuery, location="query")
@blp.page(MessageSchema, parent=CONVERSATION_EXISTS)
def list_messages(filters: dict[str, Any], conversation_id: int) -> PreparedSelect:
    """List the messages of a conversation, oldest first"""
    order = filters.pop("order", None)
    values = {**filters, "conversation_id": conversation_id}
    found = PreparedSelect(Message.matching, values, order=order or "asc", notes=may_read_notes())
    found.endless = order == "asc"
    return found


@blp.get("/messages")
@blp.arguments(MessageSearch, location="query")
@blp.page(MessageSchema)
def search_messages(filters: dict[str, Any]) -> PreparedSelect:
    """Search the messages of all conversations, newest first"""
    return PreparedSelect(searched, filters | words_filters(filters["q"]), notes=may_read_notes())


@blp.post(MESSAGES)
@blp.scope("messages:write")
@blp.arguments(MessageCreate, max_values=MAX_VALUES)
@blp.created(MessageSchema, "get_message")
@blp.alt_response(
    200, schema=MessageSchema, example=MessageSchema.example(), headers=STORED, success=True
)
@blp.alt_response(409, schema=conflict(MessageSchema))
def create_message(data: dict[str, Any], conversation_id: int) -> Message:
    """Add a message; for clients and bots as an admin, or with the scope messages:relay"""
    if data["sender"] == "user":
        data["user_id"] = current_user.user_id
    elif not current_user.may_relay:
        raise http_error(403) if current_user.scopes is None else insufficient_scope(RELAY)
    conversation, provider = found(locked_conversation(conversation_id))
    return conversation.receive(provider=provider, **data)


@blp.get(f"{MESSAGES}/<id:message_id>")
@blp.item(MessageSchema)
def get_message(conversation_id: int, message_id: int) -> PreparedSelect:
    """Show a message"""
    ids = {"conversation_id": conversation_id, "message_id": message_id}
    return PreparedSelect(Message.matching, ids, order="asc", notes=may_read_notes())


@blp.patch(f"{MESSAGES}/<id:message_id>")
@blp.scope(RELAY)
@blp.admin_only
@blp.arguments(MessagePatch)
@blp.changed(Message, MessageSchema)
@blp.alt_response(409, "CONFLICT")
def update_message(message: Message, data: dict[str, Any]) -> None:
    """Change a message as its channel did"""
    message.change(**data)


@blp.delete(f"{MESSAGES}/<id:message_id>")
@blp.scope(RELAY)
@blp.admin_only
@blp.response(204)
@blp.alt_response(409, "CONFLICT")
def delete_message(conversation_id: int, message_id: int) -> None:
    """Empty a message that was deleted on its channel"""
    message = db.get_or_404(Message, message_id, with_for_update={"key_share": True})
    require_in(message, conversation_id)
    message.erase()
    db.session.commit()


@blp.post(f"{MESSAGES}/<id:message_id>/retry")
@blp.scope("messages:write")
@blp.response(200, MessageSchema)
@blp.alt_response(409, "CONFLICT")
def retry_message(conversation_id: int, message_id: int) -> Message:
    """Send a message that was not sent, or that is queued, now"""
    conversation, _ = found(locked_conversation(conversation_id))
    message = found(conversation.retry(message_id))
    db.session.commit()
    return message


def found(row: Found | None) -> Found:
    """Return what was found; raise 404 for nothing."""
    if row is None:
        raise http_error(404)
    return row


def may_read_notes() -> bool:
    """Return whether the caller has a token: notes are for staff, also where reading is open."""
    return bool(current_user)


def require_in(message: Message, conversation_id: int) -> None:
    """Raise 404 unless a message is in the conversation of the path."""
    if message.conversation_id != conversation_id:
        raise http_error(404)
