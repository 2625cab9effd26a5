"""Conversations and their messages as JSON."""

from omnidesk.conversations.models import Conversation, Message
from omnidesk.http import PatchSchema, ResponseSchema, Schema
from omnidesk.http.fields import BooleanField, EnumField, IdField, TextField, TimeField


class ConversationCreate(Schema):
    """A new conversation."""

    client_id = IdField(required=True, example=55)
    channel = TextField(Conversation.channel, required=True, example="whatsapp")
    external_chat_id = TextField(
        Conversation.external_chat_id, load_default=None, example="573015550155"
    )


class ConversationPatch(PatchSchema):
    """The fields of a conversation that can be changed."""

    client_id = IdField(example=55)
    active = BooleanField(example=True)
    handled_by_bot = BooleanField(example=False)


class ConversationSchema(ResponseSchema, ConversationCreate):
    """A conversation."""

    conversation_id = IdField(example=1)
    active = BooleanField(example=True)
    handled_by_bot = BooleanField(example=False)
    created_at = TimeField(example="2025-10-29T09:00:00Z")
    updated_at = TimeField(example="2025-10-29T09:12:00Z")
    last_message_at = TimeField(allow_none=True, example="2025-10-29T09:12:00Z")

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

    sender = EnumField(Message.sender, load_default="user", example="user")
    content = TextField(Message.content, required=True, example="Good morning, how can I help?")
    external_message_id = TextField(
        Message.external_message_id, load_default=None, example="wamid.1029"
    )


class MessageSchema(ResponseSchema, MessageCreate):
    """A message."""

    message_id = IdField(example=1)
    conversation_id = IdField(example=1)
    created_at = TimeField(example="2025-10-29T09:12:00Z")

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
