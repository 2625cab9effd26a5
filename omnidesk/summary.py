"""The dashboard's numbers."""

from typing import Any

import marshmallow as ma
from sqlalchemy import func, select

from omnidesk.api import Answer, Blueprint
from omnidesk.conversations.models import Message
from omnidesk.db import Base, read, utcnow
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

blp = Blueprint("summary", description="The dashboard's numbers")


class TicketCounts(Answer):
    """How many tickets there are of each status."""

    open = ma.fields.Integer(metadata={"example": 5})
    in_progress = ma.fields.Integer(metadata={"example": 3})
    closed = ma.fields.Integer(metadata={"example": 20})


class SummarySchema(Answer):
    """What a dashboard shows."""

    users_count = ma.fields.Integer(metadata={"example": 12})
    tickets = ma.fields.Nested(TicketCounts, metadata={"example": TicketCounts.example()})
    upcoming_events = ma.fields.Integer(metadata={"example": 4})
    unread_messages = ma.fields.Integer(metadata={"example": 7})


def count(model: type[Base], *conditions: Any) -> Any:
    """Count the rows of a model that meet the conditions."""
    return select(func.count()).select_from(model).where(*conditions).scalar_subquery()


@blp.get("/summary")
@blp.response(200, SummarySchema)
def get_summary() -> dict[str, Any]:
    """Count what a dashboard shows"""
    counts = {
        "users_count": count(User),
        "open": count(Ticket, Ticket.status == "abierto"),
        "in_progress": count(Ticket, Ticket.status == "en_progreso"),
        "closed": count(Ticket, Ticket.status == "cerrado"),
        "upcoming_events": count(Event, Event.start_time >= utcnow()),
        "unread_messages": count(Message, Message.unread),
    }
    (row,) = read(select(*(number.label(name) for name, number in counts.items())))
    return {**row._asdict(), "tickets": row._asdict()}
