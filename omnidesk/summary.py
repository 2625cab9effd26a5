"""The counts of a dashboard."""

from datetime import timedelta
from typing import Any

import marshmallow as ma
from sqlalchemy import bindparam, func, select

from omnidesk.db import utcnow
from omnidesk.db.counters import Counter
from omnidesk.db.statements import Statement
from omnidesk.events.models import Event
from omnidesk.http import Blueprint, ResponseSchema

blp = Blueprint("summary", description="The counts of a dashboard")


class TicketCounts(ResponseSchema):
    """How many tickets there are of each status."""

    open = ma.fields.Integer(
        metadata={"description": "Tickets with the status `abierto`", "example": 5}
    )
    in_progress = ma.fields.Integer(
        metadata={"description": "Tickets with the status `en_progreso`", "example": 3}
    )
    closed = ma.fields.Integer(
        metadata={"description": "Tickets with the status `cerrado`", "example": 20}
    )


class SummarySchema(ResponseSchema):
    """What a dashboard shows."""

    users_count = ma.fields.Integer(metadata={"description": "Users, active or not", "example": 12})
    tickets = ma.fields.Nested(
        TicketCounts,
        metadata={"description": "Tickets by status", "example": TicketCounts.example()},
    )
    upcoming_events = ma.fields.Integer(
        metadata={"description": "Events that have not started yet", "example": 4}
    )
    unread_messages = ma.fields.Integer(
        metadata={"description": "Messages of clients that no user has answered", "example": 7}
    )


# Nothing that grows with the desk is counted here, except the events of the rest of today.
TODAY = (
    select(func.count())
    .where(Event.start_time >= bindparam("now"), Event.start_time < bindparam("midnight"))
    .scalar_subquery()
)
SUMMARY = Statement(
    select(
        Counter.value("users").label("users_count"),
        Counter.value("abierto").label("open"),
        Counter.value("en_progreso").label("in_progress"),
        Counter.value("cerrado").label("closed"),
        (TODAY + Counter.events_after(bindparam("today"))).label("upcoming_events"),
        Counter.value("unread").label("unread_messages"),
    )
)


@blp.get("/summary")
@blp.response(200, SummarySchema)
def get_summary() -> dict[str, Any]:
    """Count what a dashboard shows"""
    now = utcnow()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    (row,) = SUMMARY.fetch(now=now, today=now.date().isoformat(), midnight=midnight)
    users, open_, in_progress, closed, upcoming, unread = row
    return {
        "users_count": users,
        "tickets": {"open": open_, "in_progress": in_progress, "closed": closed},
        "upcoming_events": upcoming,
        "unread_messages": unread,
    }
