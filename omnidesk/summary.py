"""The dashboard's numbers."""

from datetime import timedelta
from typing import Any

import marshmallow as ma
from sqlalchemy import bindparam, func, select

from omnidesk.api import Answer, Blueprint
from omnidesk.db import utcnow
from omnidesk.events.models import Event
from omnidesk.prepared import Prepared
from omnidesk.tally import Counter

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


# Nothing that grows with the desk is counted here, but for the events of the rest of today.
TODAY = (
    select(func.count())
    .where(Event.start_time >= bindparam("now"), Event.start_time < bindparam("midnight"))
    .scalar_subquery()
)
SUMMARY = Prepared(
    select(
        Counter.of("users").label("users_count"),
        Counter.of("abierto").label("open"),
        Counter.of("en_progreso").label("in_progress"),
        Counter.of("cerrado").label("closed"),
        (TODAY + Counter.after(bindparam("today"))).label("upcoming_events"),
        Counter.of("unread").label("unread_messages"),
    )
)


@blp.get("/summary")
@blp.response(200, SummarySchema)
def get_summary() -> dict[str, Any]:
    """Count what a dashboard shows"""
    now = utcnow()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    (row,) = SUMMARY(now=now, today=now.date().isoformat(), midnight=midnight)
    users, open_, in_progress, closed, upcoming, unread = row
    return {
        "users_count": users,
        "tickets": {"open": open_, "in_progress": in_progress, "closed": closed},
        "upcoming_events": upcoming,
        "unread_messages": unread,
    }
