"""Conversations as JSON."""

from sqlalchemy import Enum

from omnidesk.clients.schemas import RelatedClient
from omnidesk.conversations.message_schemas import LastMessage
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import SORTS, Conversation
from omnidesk.http import PatchSchema, Related, ResponseSchema, RowEtag, Schema, SortedPageQuery
from omnidesk.http.fields import BooleanField, CountField, EnumField, IdField, TextField, TimeField
from omnidesk.http.parameters import ME, BooleanParameter, IdsParameter, IncludeField
from omnidesk.users.schemas import RelatedUser


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
    handled_by_bot = BooleanField(
        load_default=False, example=False, description="Whether a bot answers, and not people"
    )
    assigned_to = IdField(
        allow_none=True,
        load_default=None,
        example=None,
        description="The user who answers; null for nobody",
    )


class ConversationPatch(PatchSchema):
    """The fields of a conversation that can be changed."""

    client_id = IdField(example=55, description="The client whom the conversation is with")
    active = BooleanField(example=True, description="Whether the conversation goes on")
    handled_by_bot = BooleanField(example=False, description="Whether a bot answers, not people")
    assigned_to = IdField(
        allow_none=True, example=2, description="The user who answers; null for nobody"
    )


class Read(Schema):
    """How far somebody has read."""

    up_to_message_id = IdField(
        required=True, example=2, description="The last message that was read"
    )


class Unread(Schema):
    """From where on somebody has yet to read."""

    from_message_id = IdField(
        example=1, description="The first message to mark as unread (default: the client's last)"
    )


class Handoff(Schema):
    """Why a bot gives a conversation to people."""

    reason = TextField(
        Conversation.handoff_reason,
        load_default=None,
        example="asked for a person",
        description="Why, in a few words",
    )
    note = TextField(
        Message.content,
        allow_none=True,
        load_default=None,
        example="Wants to change the delivery address.",
        description="What people should know: stored as a message of the kind `note`",
    )


class ConversationSchema(ResponseSchema, ConversationCreate):
    """A conversation."""

    conversation_id = IdField(example=1, description="The id of the conversation")
    active = BooleanField(example=True, description="Whether the conversation goes on")
    created_at = TimeField(
        example="2025-10-29T09:00:00Z", description="When the conversation began"
    )
    updated_at = TimeField(
        example="2025-10-29T09:12:00Z",
        description="When the conversation last got a message, or was opened, closed or moved to"
        " another client",
    )
    last_message_at = TimeField(
        allow_none=True,
        example="2025-10-29T09:12:00Z",
        description="When the last message was written; null for none",
    )
    unread_count = CountField(
        example=1, description="How many of the client's messages follow `read_up_to`"
    )
    read_up_to = IdField(
        allow_none=True, example=3, description="The last message that was read; null for none"
    )
    waiting_since = TimeField(
        allow_none=True,
        example="2025-10-29T09:12:00Z",
        description="When the client wrote first since the last answer; null while nobody waits",
    )
    turn = CountField(
        example=0, description="How often the conversation went from bot to people or back"
    )
    handed_off_at = TimeField(
        allow_none=True,
        example=None,
        description="When a bot last gave the conversation to people; null for never",
    )
    handoff_reason = TextField(
        Conversation.handoff_reason,
        example=None,
        description="Why it did; null where it did not say",
    )
    reply_until = TimeField(
        allow_none=True,
        example=None,
        description="Until when its channel lets one answer: on WhatsApp for 24 hours after the"
        " client's last message. Null where it has no such limit, and until the client writes on a"
        " channel that was set up",
    )

    class Meta:
        """The contract's order, then further keys."""

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
            "assigned_to",
            "unread_count",
            "read_up_to",
            "waiting_since",
            "turn",
            "handed_off_at",
            "handoff_reason",
            "reply_until",
        )

    related = {
        "client": Related(RelatedClient, "clients", "The client whom it is with"),
        "assignee": Related(RelatedUser, "users", "The user who answers", nullable=True),
        "last_message": Related(
            LastMessage, "conversations", "The last message; null for none", nullable=True
        ),
        "etag": RowEtag(),
    }


class ConversationQuery(SortedPageQuery):
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
    assigned_to = IdsParameter(
        words={"me": ME, "none": None},
        description="Only conversations that are assigned to these users, to `me`, or to `none`:"
        " to nobody, or to users who have left",
    )
    unread = BooleanParameter(description="Only conversations with unread messages, or only others")
    waiting = BooleanParameter(
        description="Only conversations whose client waits for an answer, or only others"
    )
    sort = EnumField(
        Enum(*SORTS, name="conversationsort"),
        description="What the list is ordered by; without it, latest activity first",
    )
    include = IncludeField(ConversationSchema)
