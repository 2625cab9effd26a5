"""The dashboard's numbers."""

from typing import Any

import marshmallow as ma
from sqlalchemy import bindparam, func, select

from omnidesk.api import Answer, Blueprint
from omnidesk.db import utcnow
from omnidesk.events.models import Event
from omnidesk.prepared import Prepared
from omnidesk.tally import Tally
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


# Few, and fewer still ahead: these are counted. What grows with the desk is kept in the tally.
USERS = select(func.count()).select_from(User).scalar_subquery()
UPCOMING = select(func.count()).where(Event.start_time >= bindparam("now")).scalar_subquery()
SUMMARY = Prepared(
    select(
        USERS.label("users_count"),
        Tally.of("abierto").label("open"),
        Tally.of("en_progreso").label("in_progress"),
        Tally.of("cerrado").label("closed"),
        UPCOMING.label("upcoming_events"),
        Tally.of("unread").label("unread_messages"),
    )
)


@blp.get("/summary")
@blp.response(200, SummarySchema)
def get_summary() -> dict[str, Any]:
    """Count what a dashboard shows"""
    (row,) = SUMMARY(now=utcnow())
    users, open_, in_progress, closed, upcoming, unread = row
    return {
        "users_count": users,
        "tickets": {"open": open_, "in_progress": in_progress, "closed": closed},
        "upcoming_events": upcoming,
        "unread_messages": unread,
    }
