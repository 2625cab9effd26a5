"""Conversations and their messages as JSON."""

from omnidesk.conversations.models import Conversation, Message
from omnidesk.http import PatchSchema, ResponseSchema, Schema
from omnidesk.http.fields import BooleanField, EnumField, IdField, TextField, TimeField


class ConversationCreate(Schema):
    """A new conversation."""

    client_id = IdField(
        required=True, example=55, description="The client whom the conversation is with"
    )
    channel = TextField(
        Conversation.channel,
        required=True,
        example="whatsapp",
        description="Where the conversation takes place",
    )
    external_chat_id = TextField(
        Conversation.external_chat_id,
        load_default=None,
        example="573015550155",
        description="The id of the conversation on its channel",
    )


class ConversationPatch(PatchSchema):
    """The fields of a conversation that can be changed."""

    client_id = IdField(example=55, description="The client whom the conversation is with")
    active = BooleanField(example=True, description="Whether the conversation goes on")
    handled_by_bot = BooleanField(
        example=False, description="Whether a bot answers, and not a user"
    )


class ConversationSchema(ResponseSchema, ConversationCreate):
    """A conversation."""

    conversation_id = IdField(example=1, description="The id of the conversation")
    active = BooleanField(example=True, description="Whether the conversation goes on")
    handled_by_bot = BooleanField(
        example=False, description="Whether a bot answers, and not a user"
    )
    created_at = TimeField(
        example="2025-10-29T09:00:00Z", description="When the conversation began"
    )
    updated_at = TimeField(
        example="2025-10-29T09:12:00Z",
        description="When the conversation was last changed or got a message",
    )
    last_message_at = TimeField(
        allow_none=True,
        example="2025-10-29T09:12:00Z",
        description="When the last message was written; null for none",
    )

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

    sender = EnumField(
        Message.sender, load_default="user", example="user", description="Who wrote it"
    )
    content = TextField(
        Message.content,
        required=True,
        example="Good morning, how can I help?",
        description="The text",
    )
    external_message_id = TextField(
        Message.external_message_id,
        load_default=None,
        example="wamid.1029",
        description="The id of the message on its channel. Sent again, it is not stored twice",
    )


class MessageSchema(ResponseSchema, MessageCreate):
    """A message."""

    message_id = IdField(example=1, description="The id of the message")
    conversation_id = IdField(example=1, description="The conversation that the message is in")
    created_at = TimeField(
        example="2025-10-29T09:12:00Z", description="When the message was stored"
    )

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
