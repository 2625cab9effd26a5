"""Inbound messages as JSON."""

from typing import Any

from marshmallow import fields, validates_schema
from sqlalchemy import Enum

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.clients.schemas import ClientSchema
from omnidesk.conversations.message_schemas import MessageFields, MessageSchema, require_text
from omnidesk.conversations.messages import KINDS, NOTE, Message
from omnidesk.conversations.models import Conversation
from omnidesk.conversations.schemas import ConversationSchema
from omnidesk.http import ResponseSchema, Schema
from omnidesk.http.fields import BooleanField, EmailField, EnumField, TextField


class InboundClient(Schema):
    """What a channel tells of a client; it changes nothing of one who is known."""

    full_name = TextField(
        Client.full_name,
        allow_none=True,
        example="Ada Lovelace",
        description="The full name",
    )
    email = EmailField(Client.email, example="ada@example.com", description="The email address")
    phone = TextField(
        Client.phone,
        example="+57 601 555 0155",
        description="The phone number. One that begins with + and the country's code is compared",
    )


class InboundCreate(MessageFields):
    """A message that a client wrote on a channel."""

    channel = TextField(
        Conversation.channel, required=True, example="whatsapp", description="The channel"
    )
    external_chat_id = TextField(
        Conversation.external_chat_id,
        required=True,
        allow_none=False,
        example="573015550155",
        description="The id of the chat on the channel",
    )
    external_user_id = TextField(
        Identity.external_user_id,
        allow_none=True,
        load_default=None,
        example="573015550155",
        description="The id of the client on the channel; null where that of the chat stands for"
        " it",
    )
    external_message_id = TextField(
        Message.external_message_id,
        required=True,
        allow_none=False,
        example="wamid.1029",
        description="The id of the message in the chat. Sent again, it is not stored twice",
    )
    kind = EnumField(
        Enum(*(kind for kind in KINDS if kind != NOTE), name="inboundkind"),
        load_default="text",
        example="text",
        description="What it is",
    )
    handled_by_bot = BooleanField(
        example=False,
        description="Whether a bot answers, and not people, if a new conversation begins; without"
        " it, as the channel's `bot_first` says",
    )
    client = fields.Nested(
        InboundClient,
        allow_none=True,
        load_default=None,
        metadata={
            "description": "What the channel tells of the client",
            "example": InboundClient.example(),
        },
    )

    class Meta:
        """It is the client who writes."""

        exclude = ("sender",)

    @validates_schema
    def check_text(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a message without the text that its kind needs."""
        require_text(data)


class CreatedSchema(ResponseSchema):
    """What was made for a message."""

    client = BooleanField(example=False, description="Whether the client is new")
    conversation = BooleanField(example=False, description="Whether the conversation is new")


class InboundSchema(ResponseSchema):
    """A stored message, and where it belongs."""

    message = fields.Nested(
        MessageSchema,
        metadata={
            "description": "The message",
            "example": MessageSchema.example() | {"sender": "client", "user_id": None},
        },
    )
    conversation = fields.Nested(
        ConversationSchema,
        metadata={
            "description": "The conversation that it is in",
            "example": ConversationSchema.example(),
        },
    )
    client = fields.Nested(
        ClientSchema,
        allow_none=True,
        metadata={
            "description": "Who wrote it; null for API tokens without `clients:read`",
            "example": ClientSchema.example(),
        },
    )
    created = fields.Nested(
        CreatedSchema,
        metadata={
            "description": "What was made for it; nothing for a message sent again",
            "example": CreatedSchema.example(),
        },
    )
