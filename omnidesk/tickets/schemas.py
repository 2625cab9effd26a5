"""Tickets on the wire."""

from typing import Any

from marshmallow import ValidationError, fields, validates
from marshmallow.validate import Length

from omnidesk.api import Answer, PageQuery, Patch, Schema
from omnidesk.api.fields import ANY, Choice, Count, Id, IdParam, Json, Text, Time
from omnidesk.tickets.models import TAG, Tag, Ticket

MOST = 100  # tickets that are changed at once


class TicketQuery(PageQuery):
    """Which tickets to list."""

    status = Choice(Ticket.status, example="abierto")
    priority = Choice(Ticket.priority, example="alta")
    assigned_to = IdParam(example=2)
    client_id = IdParam(example=55)
    tag = Text(Tag.tag, pattern=TAG, example="vip")


class TicketCreate(Schema):
    """A new ticket."""

    client_id = Id(required=True, example=55)
    subject = Text(Ticket.subject, required=True, example="Cannot login")
    description = Text(
        Ticket.description,
        pattern=ANY,
        shortest=0,
        load_default=None,
        example="User reports login issue",
    )
    priority = Choice(Ticket.priority, load_default="media", example="alta")
    status = Choice(Ticket.status, load_default="abierto", example="abierto")
    due_at = Time(allow_none=True, load_default=None, example=None)
    assigned_to = Id(allow_none=True, load_default=None, example=2)


class TicketPatch(Patch, TicketCreate):
    """What is to be another in a ticket."""


class TicketsPatch(Schema):
    """What is to be another in several tickets."""

    ticket_ids = fields.List(
        Id(),
        required=True,
        validate=Length(min=1, max=MOST),
        metadata={"example": [100, 101], "uniqueItems": True},
    )
    set = fields.Nested(TicketPatch, required=True, metadata={"example": {"status": "cerrado"}})

    @validates("ticket_ids")
    def refuse_repetition(self, ticket_ids: list[int], **_: Any) -> None:
        """Refuse an id that is given twice."""
        twice = [n for n, number in enumerate(ticket_ids) if number in ticket_ids[:n]]
        if twice:
            raise ValidationError({n: ["Given more than once."] for n in twice})


class TicketSchema(Answer, TicketCreate):
    """A ticket."""

    ticket_id = Id(example=100)
    created_at = Time(example="2025-10-29T09:12:00Z")
    resolved_at = Time(allow_none=True, example=None)
    tags = Json(metadata={"type": "array", "items": {"type": "string"}}, example=["vip"])

    class Meta:
        """The contract's order, and then what it does not know."""

        fields = (
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
        )


class TagSchema(Answer):
    """A tag, and how many tickets have it."""

    tag = Text(Tag.tag, pattern=TAG, example="vip")
    tickets = Count(example=3)
