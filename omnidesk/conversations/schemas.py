"""Conversations and their messages on the wire."""

from omnidesk.api import Answer, Patch, Schema
from omnidesk.api.fields import Choice, Flag, Id, Text, Time
from omnidesk.conversations.models import Conversation, Message


class ConversationCreate(Schema):
    """A new conversation."""

    client_id = Id(required=True, example=55)
    channel = Text(Conversation.channel, required=True, example="whatsapp")
    external_chat_id = Text(
        Conversation.external_chat_id, load_default=None, example="573015550155"
    )


class ConversationPatch(Patch):
    """What is to be another in a conversation."""

    client_id = Id(example=55)
    active = Flag(example=True)
    handled_by_bot = Flag(example=False)


class ConversationSchema(Answer, ConversationCreate):
    """A conversation."""

    conversation_id = Id(example=1)
    active = Flag(example=True)
    handled_by_bot = Flag(example=False)
    created_at = Time(example="2025-10-29T09:00:00Z")
    updated_at = Time(example="2025-10-29T09:12:00Z")
    last_message_at = Time(allow_none=True, example="2025-10-29T09:12:00Z")

    class Meta:
        """The contract's order."""

        fields = (
            "conversation_id",
            "client_id",
            "channel",
            "external_chat_id",
            "active",
            "handled_by_bot",
            "created_at",
            "updated_at",
            "last_message_at",
        )


class MessageCreate(Schema):
    """A new message."""

    sender = Choice(Message.sender, load_default="user", example="user")
    content = Text(Message.content, required=True, example="Good morning, how can I help?")
    external_message_id = Text(Message.external_message_id, load_default=None, example="wamid.1029")


class MessageSchema(Answer, MessageCreate):
    """A message."""

    message_id = Id(example=1)
    conversation_id = Id(example=1)
    created_at = Time(example="2025-10-29T09:12:00Z")

    class Meta:
        """The contract's order."""

        fields = (
            "message_id",
            "conversation_id",
            "sender",
            "content",
            "external_message_id",
            "created_at",
        )
