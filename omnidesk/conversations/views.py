"""Conversations and their messages over HTTP."""

from contextlib import suppress
from typing import Any

from flask import request
from sqlalchemy import Select
from sqlalchemy.exc import DBAPIError

from omnidesk.api import Blueprint, PageQuery, TimelineQuery, current_user
from omnidesk.api.errors import failure
from omnidesk.conversations.models import KNOWN, UNREAD, Conversation, Message
from omnidesk.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationSchema,
    MessageCreate,
    MessageSchema,
)
from omnidesk.db import db

blp = Blueprint("conversations", description="What clients and staff say to each other")


@blp.get("/conversations")
@blp.arguments(TimelineQuery, location="query")
@blp.page(ConversationSchema)
def list_conversations(filters: dict[str, Any]) -> Select[Any]:
    """List conversations, latest activity first"""
    return Conversation.matching(**filters)


@blp.get("/conversations/<id:conversation_id>")
@blp.item(ConversationSchema)
def get_conversation(conversation_id: int) -> Select[Any]:
    """Show a conversation"""
    return Conversation.matching(conversation_id=conversation_id)


@blp.post("/conversations")
@blp.arguments(ConversationCreate)
@blp.created(ConversationSchema, "get_conversation")
def create_conversation(data: dict[str, Any]) -> Conversation:
    """Begin a conversation"""
    return Conversation.begin(**data)


@blp.patch("/conversations/<id:conversation_id>")
@blp.arguments(ConversationPatch)
@blp.changed(Conversation, ConversationSchema)
def update_conversation(conversation: Conversation, data: dict[str, Any]) -> None:
    """Change a conversation"""
    conversation.change(**data)


def note_read(last: list[int] | None, conversation_id: int) -> None:
    """Note that staff has read the messages they are sent; 404 where there is no conversation."""
    if last is None and not KNOWN(conversation_id=conversation_id):
        raise failure(404)
    if last is None or not current_user or request.method != "GET":
        return
    (upto,) = last
    if not UNREAD(conversation_id=conversation_id, upto=upto):
        return
    # A reader is not turned away because this cannot be written now: the next reading notes it.
    with suppress(DBAPIError):
        Message.mark_read(conversation_id, upto=upto)
        db.session.commit()


@blp.get("/conversations/<id:conversation_id>/messages")
@blp.arguments(PageQuery, location="query")
@blp.page(MessageSchema, then=note_read)
def list_messages(filters: dict[str, Any], conversation_id: int) -> Select[Any]:
    """List the messages of a conversation, oldest first"""
    return Message.matching(conversation_id=conversation_id, **filters)


@blp.post("/conversations/<id:conversation_id>/messages")
@blp.scope("messages:write")
@blp.arguments(MessageCreate)
@blp.created(MessageSchema, "get_message")
@blp.also(200, MessageSchema)
@blp.alt_response(409, "CONFLICT")
def create_message(data: dict[str, Any], conversation_id: int) -> Message:
    """Add a message; for clients and bots as an admin, or with the scope messages:relay"""
    if data["sender"] != "user" and not current_user.may_relay:
        raise failure(403)
    conversation: Conversation = db.get_or_404(Conversation, conversation_id, with_for_update=True)
    return conversation.receive(**data)


@blp.get("/conversations/<id:conversation_id>/messages/<id:message_id>")
@blp.item(MessageSchema)
def get_message(conversation_id: int, message_id: int) -> Select[Any]:
    """Show a message"""
    return Message.matching(conversation_id=conversation_id, message_id=message_id)
