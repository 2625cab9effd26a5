"""Messages as JSON."""

from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema
from marshmallow.validate import Range
from sqlalchemy import Enum

from omnidesk.conversations.deliveries import RANKS
from omnidesk.conversations.fields import MetaField
from omnidesk.conversations.messages import MAX_META, NEEDS_TEXT, Message
from omnidesk.db import MAX_ID
from omnidesk.db.visible import is_visible
from omnidesk.db.words import SearchQuery
from omnidesk.http import PageQuery, PatchSchema, Related, ResponseSchema, RowEtag, Schema
from omnidesk.http.fields import (
    ANY_TEXT,
    CountField,
    EnumField,
    IdField,
    JsonField,
    PartField,
    TextField,
    TimeField,
)
from omnidesk.http.matches import Match, Texts
from omnidesk.http.parameters import (
    EnumsParameter,
    IdParameter,
    IdsParameter,
    IncludeField,
    QueryField,
)
from omnidesk.users.schemas import RelatedUser


class MessageText(Schema):
    """What a message says, and how its channel knows it."""

    content = TextField(
        Message.content,
        pattern=ANY_TEXT,
        min_length=0,
        required=True,
        example="Good morning, how can I help?",
        description="The text. It may be empty where the kind is neither `text` nor `note`",
    )
    external_message_id = TextField(
        Message.external_message_id,
        load_default=None,
        example="wamid.1029",
        description="The id of the message on its channel. Sent again, it is not stored twice",
    )


class MessageFields(MessageText):
    """What a message consists of."""

    sender = EnumField(
        Message.sender, load_default="user", example="user", description="Who wrote it"
    )
    kind = EnumField(
        Message.kind,
        load_default="text",
        example="text",
        description="What it is. A `note` is for staff: it is not sent to the client",
    )
    meta = MetaField(
        allow_none=True,
        load_default=None,
        example=None,
        description="What is known of a file, a place, or the message that it replies to: an"
        f" object of at most {MAX_META} bytes",
    )
    sent_at = TimeField(
        allow_none=True,
        load_default=None,
        example=None,
        description="When it was sent, by the clock of its channel",
    )


def require_text(data: dict[str, Any]) -> None:
    """Raise ValidationError for a text in which nothing can be seen, where one is needed."""
    if data.get("kind") in NEEDS_TEXT and not is_visible(data["content"]):
        raise ValidationError({"content": [TextField.default_error_messages["blank"]]})


class MessageCreate(MessageFields):
    """A new message."""

    after_message_id = IdField(
        example=4,
        description="The last message that its writer has seen: 409 if others have written since",
    )
    turn = CountField(
        strict=True,
        validate=Range(min=0, max=MAX_ID),
        example=0,
        description="The conversation's `turn` that a bot answers in: 409 if it is another by now",
    )

    @validates_schema
    def check_text(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a message without the text that its kind needs."""
        require_text(data)


class MessagePatch(PatchSchema, MessageText):
    """What a channel may tell of a message later."""

    external_message_id = TextField(
        Message.external_message_id,
        example="whatsapp-1-1",
        description="The id of the message on its channel, where it has none",
    )


def message_texts(rows: list[dict[str, Any]], _: SearchQuery) -> list[Texts]:
    """Return what messages say."""
    return [{"content": row["content"]} for row in rows]


class DeliverySchema(ResponseSchema):
    """What became of a message that is sent to its client."""

    state = EnumField(
        Enum(*RANKS, name="deliverystate"),
        example="delivered",
        description="How far it got. `unknown` is not sent again by itself: its channel did not say"
        " whether it has it",
    )
    at = TimeField(example="2025-10-29T09:12:05Z", description="Since when")
    error = TextField(
        Message.delivery_error, example=None, description="Why it was not sent, or is tried again"
    )


class MessageSchema(ResponseSchema, MessageFields):
    """A message."""

    message_id = IdField(example=1, description="The id of the message")
    conversation_id = IdField(example=1, description="The conversation that the message is in")
    created_at = TimeField(
        example="2025-10-29T09:12:00Z", description="When the message was stored"
    )
    user_id = IdField(
        allow_none=True,
        example=2,
        description="Who of the staff wrote it; null for clients and bots",
    )
    meta = JsonField(  # type: ignore[assignment]
        allow_none=True,
        metadata={"type": "object"},
        example=None,
        description="What is known of a file, a place, or the message that it replies to",
    )
    edited_at = TimeField(
        allow_none=True, example=None, description="When the text was last changed; null for never"
    )
    deleted_at = TimeField(
        allow_none=True,
        example=None,
        description="When it was deleted on its channel, and emptied here; null for never",
    )

    delivery = PartField(
        DeliverySchema,
        allow_none=True,
        metadata={
            "description": "What became of it on its channel; null for what is not sent from here",
            "example": None,
        },
    )

    class Meta:
        """The contract's order, then further keys."""

        fields: tuple[str, ...] = (
            "message_id",
            "conversation_id",
            "sender",
            "content",
            "external_message_id",
            "created_at",
            "user_id",
            "kind",
            "meta",
            "sent_at",
            "edited_at",
            "deleted_at",
            "delivery",
        )

    related: ClassVar[dict[str, Any]] = {
        "user": Related(RelatedUser, "users", "Who of the staff wrote it", nullable=True),
        "etag": RowEtag(),
        "match": Match(message_texts),
    }


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
    include = IncludeField(MessageSchema, "user", "etag")


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

        fields = ("message_id", "sender", "content", "created_at", "kind")

    related = {}
