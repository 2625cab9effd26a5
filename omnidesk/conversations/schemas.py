"""Conversations and their messages as JSON."""

from typing import Any, ClassVar

from sqlalchemy import Enum

from omnidesk.clients.schemas import RelatedClient
from omnidesk.conversations.models import Conversation, Message
from omnidesk.db.words import SearchQuery
from omnidesk.http import (
    PageQuery,
    PatchSchema,
    Related,
    ResponseSchema,
    RowEtag,
    Schema,
    TimePageQuery,
)
from omnidesk.http.fields import BooleanField, EnumField, IdField, TextField, TimeField
from omnidesk.http.matches import Match, Texts
from omnidesk.http.parameters import (
    BooleanParameter,
    EnumsParameter,
    IdParameter,
    IdsParameter,
    IncludeField,
    QueryField,
    SortParameter,
)


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


def message_texts(rows: list[dict[str, Any]], _: SearchQuery) -> list[Texts]:
    """Return what messages say."""
    return [{"content": row["content"]} for row in rows]


class MessageSchema(ResponseSchema, MessageCreate):
    """A message."""

    message_id = IdField(example=1, description="The id of the message")
    conversation_id = IdField(example=1, description="The conversation that the message is in")
    created_at = TimeField(
        example="2025-10-29T09:12:00Z", description="When the message was stored"
    )

    class Meta:
        """The contract's order."""

        fields: tuple[str, ...] = (
            "message_id",
            "conversation_id",
            "sender",
            "content",
            "external_message_id",
            "created_at",
        )

    related: ClassVar[dict[str, Any]] = {"match": Match(message_texts)}


class MessageQuery(PageQuery):
    """The filters of messages."""

    order = EnumField(
        Enum("asc", "desc", name="order"),
        description="`desc` is newest first. `asc` is oldest first, as without it, and links to a"
        " `next` page even from the last, for the messages that are yet to come",
    )
    sender = EnumsParameter(Message.sender, description="Only messages by these senders")
    after = IdParameter(description="Only messages after the one with this id")
    before = IdParameter(description="Only messages before the one with this id")


class MessageSearch(PageQuery):
    """What messages are searched by."""

    q = QueryField("Only messages with all of these words", required=True, example="password")
    conversation_id = IdsParameter(description="Only messages of these conversations")
    client_id = IdsParameter(description="Only messages of conversations with these clients")
    sender = EnumsParameter(Message.sender, description="Only messages by these senders")
    created_since = TimeField(description="Only messages that were written at this time or later")
    include = IncludeField(MessageSchema)


class LastMessage(MessageSchema):
    """What a conversation shows of its last message."""

    class Meta:
        """The order of the columns."""

        fields = ("message_id", "sender", "content", "created_at")

    related = {}


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

    related = {
        "client": Related(RelatedClient, "clients", "The client whom it is with"),
        "last_message": Related(
            LastMessage, "conversations", "The last message; null for none", nullable=True
        ),
        "etag": RowEtag(),
    }


class ConversationQuery(TimePageQuery):
    """The filters of conversations. One that has several values finds those with any of them."""

    conversation_id = IdsParameter(description="Only these conversations, such as `1,2`")
    client_id = IdsParameter(description="Only conversations with these clients")
    channel = TextField(max_length=32, description="Only conversations on this channel")
    external_chat_id = TextField(
        max_length=255, description="Only the conversation with this id on its channel"
    )
    active = BooleanParameter(description="Only conversations that go on, or only others")
    handled_by_bot = BooleanParameter(
        description="Only conversations that a bot answers, or only others"
    )
    sort = SortParameter("-updated_at", description="Latest activity first, as without it")
    include = IncludeField(ConversationSchema)
