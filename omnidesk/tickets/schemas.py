"""Tickets as JSON."""

from typing import Any

from marshmallow import ValidationError, fields, validates

from omnidesk.clients.schemas import RelatedClient
from omnidesk.http import (
    ME,
    PatchSchema,
    Related,
    ResponseSchema,
    RowEtag,
    Schema,
    SortedPageQuery,
)
from omnidesk.http.fields import (
    ANY_TEXT,
    CountField,
    EnumField,
    IdField,
    JsonField,
    ListField,
    TextField,
    TimeField,
)
from omnidesk.http.matches import Match
from omnidesk.http.parameters import (
    BooleanParameter,
    EnumsParameter,
    IdsParameter,
    IncludeField,
    QueryField,
    SortParameter,
)
from omnidesk.tickets.fields import FORM, TAG, TagsField
from omnidesk.tickets.finding import texts_found
from omnidesk.tickets.lists import SORTED_BY
from omnidesk.tickets.models import MAX_COMMENT, Ticket
from omnidesk.tickets.tags import Tag
from omnidesk.users.schemas import RelatedUser

MAX_TICKETS = 100  # that are changed at once


class TicketCreate(Schema):
    """A new ticket."""

    client_id = IdField(required=True, example=55, description="The client who asks")
    subject = TextField(
        Ticket.subject,
        required=True,
        example="Cannot login",
        description="What it is about, in one line",
    )
    description = TextField(
        Ticket.description,
        pattern=ANY_TEXT,
        min_length=0,
        load_default=None,
        example="User reports login issue",
        description="What the client says",
    )
    priority = EnumField(
        Ticket.priority,
        load_default="media",
        example="alta",
        description="How urgent it is: high, medium or low",
    )
    status = EnumField(
        Ticket.status,
        load_default="abierto",
        example="abierto",
        description="How far it is: open, in progress or closed",
    )
    due_at = TimeField(
        allow_none=True,
        load_default=None,
        example=None,
        description="When it should be resolved; null for no such time",
    )
    assigned_to = IdField(
        allow_none=True,
        load_default=None,
        example=2,
        description="The user who works on it; null for nobody",
    )
    conversation_id = IdField(
        allow_none=True,
        load_default=None,
        example=1,
        description="The conversation that it came from, which the client must have; null for none",
    )


class ConversationTicketCreate(TicketCreate):
    """A new ticket that comes from a conversation, whose client is the one who asks."""

    class Meta:
        """What is not known yet."""

        fields = ("subject", "description", "priority")


class TicketPatch(PatchSchema, TicketCreate):
    """The fields of a ticket that can be changed, and a comment on it."""

    comment = TextField(
        max_length=MAX_COMMENT,
        example="Called back: it was the router.",
        description="A comment to add. An API token needs the scope `comments:write` for it, too",
    )


class TicketsPatch(Schema):
    """The fields of several tickets that are changed alike."""

    ticket_ids = ListField(
        IdField(),
        max_length=MAX_TICKETS,
        required=True,
        example=[100, 101],
        description="The tickets to change",
        metadata={"uniqueItems": True},
    )
    set = fields.Nested(
        TicketPatch,
        required=True,
        metadata={
            "description": "What to change in each of them",
            "example": {"status": "cerrado"},
        },
    )

    @validates("ticket_ids")
    def refuse_duplicates(self, ticket_ids: list[int], **_: Any) -> None:
        """Refuse a duplicate id."""
        duplicates = [n for n, number in enumerate(ticket_ids) if number in ticket_ids[:n]]
        if duplicates:
            raise ValidationError({n: ["Given more than once."] for n in duplicates})


class TicketSchema(ResponseSchema, TicketCreate):
    """A ticket."""

    ticket_id = IdField(example=100, description="The id of the ticket")
    created_at = TimeField(example="2025-10-29T09:12:00Z", description="When the ticket was opened")
    resolved_at = TimeField(
        allow_none=True,
        example=None,
        description="When the ticket was closed; null while it is not",
    )
    tags = JsonField(
        metadata={"type": "array", "items": {"type": "string"}},
        example=["vip"],
        description="The tags, in alphabetical order",
    )
    updated_at = TimeField(
        example="2025-10-29T11:12:00Z",
        description="When the ticket, its tags or its comments were last changed",
    )

    class Meta:
        """The contract's order, then further keys."""

        fields: tuple[str, ...] = (
            "ticket_id",
            "client_id",
            "subject",
            "description",
            "priority",
            "status",
            "created_at",
            "due_at",
            "resolved_at",
            "assigned_to",
            "tags",
            "updated_at",
            "conversation_id",
        )

    related = {
        "client": Related(RelatedClient, "clients", "The client who asks"),
        "assignee": Related(RelatedUser, "users", "The user who works on it", nullable=True),
        "etag": RowEtag(),
        "match": Match(texts_found),
    }


class RelatedTicket(TicketSchema):
    """What other rows show of their ticket."""

    class Meta:
        """The order of the columns."""

        fields = ("ticket_id", "client_id", "subject", "priority", "status")

    related = {}


class TicketQuery(SortedPageQuery):
    """The filters of tickets. One that has several values finds tickets with any of them."""

    ticket_id = IdsParameter(description="Only these tickets, such as `100,101`")
    status = EnumsParameter(
        Ticket.status, description="Only tickets with this status, such as `abierto,en_progreso`"
    )
    priority = EnumsParameter(Ticket.priority, description="Only tickets with this priority")
    assigned_to = IdsParameter(
        words={"me": ME, "none": None},
        description="Only tickets that are assigned to these users, to `me` or to `none`",
    )
    client_id = IdsParameter(description="Only tickets of these clients")
    conversation_id = IdsParameter(description="Only tickets that came from these conversations")
    tag = TagsField(description="Only tickets with all of these tags, such as `vip,factura`")
    overdue = BooleanParameter(
        description="Only tickets that are not closed and past their `due_at`, or only others"
    )
    q = QueryField(
        "Only tickets with all of these words in the subject and the description, or in one comment"
    )
    created_since = TimeField(description="Only tickets that were opened at this time or later")
    created_before = TimeField(description="Only tickets that were opened before this time")
    updated_since = TimeField(description="Only tickets that were changed at this time or later")
    updated_before = TimeField(description="Only tickets that were changed last before this time")
    resolved_since = TimeField(description="Only tickets that were closed at this time or later")
    resolved_before = TimeField(description="Only tickets that were closed before this time")
    due_since = TimeField(description="Only tickets that are due at this time or later")
    due_before = TimeField(description="Only tickets that are due before this time")
    sort = SortParameter(
        *(f"{sign}{name}" for name in SORTED_BY for sign in ("", "-")),
        description="What the tickets are ordered by: up to two of these, each with `-` for the"
        " other direction. Tickets without a `due_at` come last",
    )
    include = IncludeField(TicketSchema)


class TagSchema(ResponseSchema):
    """A tag, and how many tickets have it."""

    tag = TextField(Tag.tag, pattern=TAG, form=FORM, example="vip", description="The tag")
    tickets = CountField(example=3, description="How many tickets have the tag")
