"""Conversations and their messages over HTTP."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from flask import request
from flask_jwt_extended import current_user
from sqlalchemy import Select
from sqlalchemy.exc import DBAPIError

from omnidesk.api import Blueprint, PageQuery
from omnidesk.conversations.models import Conversation, Message
from omnidesk.conversations.schemas import ConversationSchema, MessageCreate, MessageSchema
from omnidesk.db import db

blp = Blueprint("conversations", description="What clients and staff say to each other")


@blp.get("/conversations")
@blp.arguments(PageQuery, location="query")
@blp.response(200, ConversationSchema(many=True))
@blp.page
def list_conversations(_: dict[str, Any]) -> Select[Any]:
    """List conversations, latest activity first"""
    return Conversation.matching()


@blp.get("/conversations/<id:conversation_id>")
@blp.response(200, ConversationSchema)
def get_conversation(conversation_id: int) -> Conversation:
    """Show a conversation"""
    return db.get_or_404(Conversation, conversation_id)


def reading(page: Callable[..., Any]) -> Callable[..., Any]:
    """Note that staff has read the messages they are sent; 404 where there is no conversation."""

    @wraps(page)
    def read(query: dict[str, Any], conversation_id: int) -> Any:
        messages, headers = page(query, conversation_id=conversation_id)
        if not messages:
            db.get_or_404(Conversation, conversation_id)
        if current_user and request.method == "GET" and any(m.unread for m in messages):
            note_read(conversation_id, messages[-1].message_id)
        return messages, headers

    return read


def note_read(conversation_id: int, upto: int) -> None:
    """Mark messages read after the answer was read from the database, in a write of its own."""
    db.session.commit()
    # A reader is not turned away because this cannot be written now: the next reading notes it.
    with suppress(DBAPIError):
        Message.mark_read(conversation_id, upto=upto)
        db.session.commit()


@blp.get("/conversations/<id:conversation_id>/messages")
@blp.arguments(PageQuery, location="query")
@blp.response(200, MessageSchema(many=True))
@reading
@blp.page
def list_messages(_: dict[str, Any], conversation_id: int) -> Select[Any]:
    """List the messages of a conversation, oldest first"""
    return Message.of(conversation_id)


@blp.post("/conversations/<id:conversation_id>/messages")
@blp.arguments(MessageCreate)
@blp.created(MessageSchema, "get_message")
@blp.also(200, MessageSchema)
@blp.alt_response(409, "CONFLICT")
def create_message(data: dict[str, Any], conversation_id: int) -> Any:
    """Add a message; a channel's retry gets the stored one"""
    conversation = db.get_or_404(Conversation, conversation_id, with_for_update=True)
    message, is_new = conversation.receive(**data)
    db.session.commit()
    return message if is_new else (message, 200)


@blp.get("/conversations/<id:conversation_id>/messages/<id:message_id>")
@blp.response(200, MessageSchema)
def get_message(conversation_id: int, message_id: int) -> Any:
    """Show a message"""
    return db.first_or_404(Message.of(conversation_id).filter_by(message_id=message_id))
