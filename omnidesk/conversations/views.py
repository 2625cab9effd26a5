"""The routes of conversations and their messages."""

from typing import Any

from omnidesk.conversations.models import CONVERSATION_EXISTS, Conversation, Message
from omnidesk.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationQuery,
    ConversationSchema,
    MessageCreate,
    MessageQuery,
    MessageSchema,
    MessageSearch,
)
from omnidesk.db import db
from omnidesk.http import Blueprint, PreparedSelect, current_user, words_filters
from omnidesk.http.errors import http_error, insufficient_scope

RELAY = "messages:relay"

blp = Blueprint("conversations", description="Conversations with clients, and their messages")


@blp.get("/conversations")
@blp.arguments(ConversationQuery, location="query")
@blp.page(ConversationSchema)
def list_conversations(filters: dict[str, Any]) -> PreparedSelect:
    """List conversations, latest activity first"""
    filters.pop("sort", None)  # there is one order so far
    return PreparedSelect(Conversation.matching, filters)


@blp.get("/conversations/<id:conversation_id>")
@blp.item(ConversationSchema)
def get_conversation(conversation_id: int) -> PreparedSelect:
    """Show a conversation"""
    return PreparedSelect(Conversation.matching, {"conversation_id": conversation_id})


@blp.post("/conversations")
@blp.arguments(ConversationCreate)
@blp.created(ConversationSchema, "get_conversation")
def create_conversation(data: dict[str, Any]) -> Conversation:
    """Begin a conversation"""
    return Conversation.new(**data)


@blp.patch("/conversations/<id:conversation_id>")
@blp.arguments(ConversationPatch)
@blp.changed(Conversation, ConversationSchema)
def update_conversation(conversation: Conversation, data: dict[str, Any]) -> None:
    """Change a conversation"""
    conversation.change(**data)


@blp.get("/conversations/<id:conversation_id>/messages")
@blp.arguments(MessageQuery, location="query")
@blp.page(MessageSchema, parent=CONVERSATION_EXISTS)
def list_messages(filters: dict[str, Any], conversation_id: int) -> PreparedSelect:
    """List the messages of a conversation, oldest first"""
    order = filters.pop("order", None)
    values = {**filters, "conversation_id": conversation_id}
    found = PreparedSelect(Message.matching, values, order=order or "asc")
    found.endless = order == "asc"
    return found


@blp.get("/messages")
@blp.arguments(MessageSearch, location="query")
@blp.page(MessageSchema)
def search_messages(filters: dict[str, Any]) -> PreparedSelect:
    """Search the messages of all conversations, newest first"""
    return PreparedSelect(Message.searched, filters | words_filters(filters["q"]))


@blp.post("/conversations/<id:conversation_id>/messages")
@blp.scope("messages:write")
@blp.arguments(MessageCreate)
@blp.created(MessageSchema, "get_message")
@blp.alt_response(200, schema=MessageSchema, example=MessageSchema.example(), success=True)
@blp.alt_response(409, "CONFLICT")
def create_message(data: dict[str, Any], conversation_id: int) -> Message:
    """Add a message; for clients and bots as an admin, or with the scope messages:relay"""
    if data["sender"] != "user" and not current_user.may_relay:
        raise http_error(403) if current_user.scopes is None else insufficient_scope(RELAY)
    lock = {"key_share": True}
    conversation: Conversation = db.get_or_404(Conversation, conversation_id, with_for_update=lock)
    return conversation.receive(**data)


@blp.get("/conversations/<id:conversation_id>/messages/<id:message_id>")
@blp.item(MessageSchema)
def get_message(conversation_id: int, message_id: int) -> PreparedSelect:
    """Show a message"""
    ids = {"conversation_id": conversation_id, "message_id": message_id}
    return PreparedSelect(Message.matching, ids, order="asc")
