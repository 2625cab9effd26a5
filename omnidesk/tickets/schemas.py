"""Tickets as JSON."""

from typing import Any

from marshmallow import ValidationError, fields, validates

from omnidesk.clients.schemas import RelatedClient
from omnidesk.db.folding import MAX_TAG_SENT, fold_tag
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
from omnidesk.http.parameters import (
    BooleanParameter,
    EnumsParameter,
    IdsParameter,
    IncludeField,
    SortParameter,
)
from omnidesk.tickets.lists import SORTED_BY
from omnidesk.tickets.models import Tag, Ticket
from omnidesk.users.schemas import RelatedUser

# Letters and digits of any script, which a portable pattern cannot name, and _ . : -
TAG = r"[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa9][^\x00-,/;-@\x5b-^`\x7b-\xa9]*"
MAX_TICKETS = 100  # that are changed at once
MAX_TAGS_SOUGHT = 10  # that a ticket has at once


class TagField(TextField):
    """A tag, loaded in the form that is stored."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(pattern=TAG, max_length=MAX_TAG_SENT, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        folded = fold_tag(super()._deserialize(value, *args, **kwargs))
        if folded is None:
            raise self.make_error("pattern", pattern="letters, digits, and _ . : -")
        return folded


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


class TicketPatch(PatchSchema, TicketCreate):
    """The fields of a ticket that can be changed."""


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
        )

    related = {
        "client": Related(RelatedClient, "clients", "The client who asks"),
        "assignee": Related(RelatedUser, "users", "The user who works on it", nullable=True),
        "etag": RowEtag(),
    }


class RelatedTicket(TicketSchema):
    """What other rows show of their ticket."""

    class Meta:
        """The order of the columns."""

        fields = ("ticket_id", "client_id", "subject", "priority", "status")

    related = {}


class TagsField(TextField):
    """Tags, separated by commas, loaded as a tuple."""

    default_error_messages = {"many": "At most {limit} tags."}

    def __init__(self, **kwargs: Any) -> None:
        self.tag = TagField()
        length = MAX_TAGS_SOUGHT * MAX_TAG_SENT
        super().__init__(pattern=f"{TAG}(,{TAG})*", max_length=length, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs)
        tags = tuple(dict.fromkeys(self.tag.deserialize(tag) for tag in text.split(",")))
        if len(tags) > MAX_TAGS_SOUGHT:
            raise self.make_error("many", limit=MAX_TAGS_SOUGHT)
        return tags


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
    tag = TagsField(description="Only tickets with all of these tags, such as `vip,factura`")
    overdue = BooleanParameter(
        description="Only tickets that are not closed and past their `due_at`, or only others"
    )
    sort = SortParameter(
        *(f"{sign}{name}" for name in SORTED_BY for sign in ("", "-")),
        description="What the tickets are ordered by: up to two of these, each with `-` for the"
        " other direction. Tickets without a `due_at` come last",
    )
    include = IncludeField(TicketSchema)


class TagSchema(ResponseSchema):
    """A tag, and how many tickets have it."""

    tag = TextField(Tag.tag, pattern=TAG, example="vip", description="The tag")
    tickets = CountField(example=3, description="How many tickets have the tag")
