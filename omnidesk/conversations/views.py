"""The routes of conversations, and of who answers them."""

from typing import Any

from omnidesk.conversations.finding import matching, select_conversations
from omnidesk.conversations.models import Conversation
from omnidesk.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationQuery,
    ConversationSchema,
    Handoff,
    Read,
    Unread,
)
from omnidesk.db import db
from omnidesk.http import Blueprint, PreparedSelect, current_user, with_caller
from omnidesk.http.conflicts import conflict
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.schemas import ConversationTicketCreate, TicketSchema

RELAY = "messages:relay"

blp = Blueprint("conversations", description="Conversations with clients, and their messages")


@blp.get("/conversations")
@blp.arguments(ConversationQuery, location="query")
@blp.page(ConversationSchema)
def list_conversations(filters: dict[str, Any]) -> PreparedSelect:
    """List conversations, latest activity first or another order"""
    return select_conversations(with_caller(filters, "assigned_to"))


@blp.get("/conversations/<id:conversation_id>")
@blp.item(ConversationSchema)
def get_conversation(conversation_id: int) -> PreparedSelect:
    """Show a conversation"""
    return PreparedSelect(matching, {"conversation_id": conversation_id})


@blp.post("/conversations")
@blp.arguments(ConversationCreate)
@blp.created(ConversationSchema, "get_conversation")
@blp.alt_response(409, schema=conflict(ConversationSchema))
def create_conversation(data: dict[str, Any]) -> Conversation:
    """Begin a conversation"""
    return Conversation.new(**data)


@blp.patch("/conversations/<id:conversation_id>")
@blp.arguments(ConversationPatch)
@blp.changed(Conversation, ConversationSchema)
@blp.alt_response(409, schema=conflict(ConversationSchema))
def update_conversation(conversation: Conversation, data: dict[str, Any]) -> None:
    """Change a conversation"""
    conversation.change(**data)


@blp.post("/conversations/<id:conversation_id>/read")
@blp.arguments(Read)
@blp.changed(Conversation, ConversationSchema)
def read_conversation(conversation: Conversation, data: dict[str, Any]) -> None:
    """Mark all up to a message as read"""
    conversation.read(data["up_to_message_id"])


@blp.post("/conversations/<id:conversation_id>/unread")
@blp.arguments(Unread)
@blp.changed(Conversation, ConversationSchema)
def unread_conversation(conversation: Conversation, data: dict[str, Any]) -> None:
    """Mark all from a message on as unread"""
    conversation.unread_from(data.get("from_message_id"))


@blp.post("/conversations/<id:conversation_id>/takeover")
@blp.changed(Conversation, ConversationSchema)
def take_over_conversation(conversation: Conversation) -> None:
    """Answer a conversation instead of a bot"""
    conversation.take_over(current_user.user_id)


@blp.post("/conversations/<id:conversation_id>/handoff")
@blp.scope(RELAY)
@blp.arguments(Handoff)
@blp.changed(Conversation, ConversationSchema)
@blp.alt_response(409, "CONFLICT")
def hand_off_conversation(conversation: Conversation, data: dict[str, Any]) -> None:
    """Hand a conversation over from a bot to people"""
    conversation.hand_off(**data, author=author())


@blp.post("/conversations/<id:conversation_id>/return")
@blp.changed(Conversation, ConversationSchema)
def return_conversation(conversation: Conversation) -> None:
    """Return a conversation to the bot"""
    conversation.hand_over(to_bot=True)


@blp.post("/conversations/<id:conversation_id>/ticket")
@blp.scope("tickets:write", shows="tickets")
@blp.arguments(ConversationTicketCreate)
@blp.created(TicketSchema, "tickets.get_ticket")
def create_conversation_ticket(data: dict[str, Any], conversation_id: int) -> Ticket:
    """Open a ticket that comes from a conversation"""
    conversation: Conversation = db.get_or_404(Conversation, conversation_id)
    origin = {"client_id": conversation.client_id, "conversation_id": conversation_id}
    return Ticket.new(**data, **origin, status="abierto")


def author() -> dict[str, Any]:
    """Return who a note is by: a bot with its API token, or the user."""
    if current_user.scopes is not None:
        return {"sender": "bot"}
    return {"sender": "user", "user_id": current_user.user_id}
