"""The counts of a dashboard."""

from datetime import timedelta
from typing import Any

import marshmallow as ma
from sqlalchemy import (
    BindParameter,
    ScalarSelect,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    union_all,
)

from omnidesk.backlog import OLDEST_QUEUED
from omnidesk.conversations.models import Conversation
from omnidesk.db import utcnow
from omnidesk.db.counters import Counter
from omnidesk.db.json_sql import JsonTime
from omnidesk.db.statements import Statement
from omnidesk.events.models import Event
from omnidesk.http import Blueprint, ResponseSchema, current_user
from omnidesk.tickets.models import STATUSES, Ticket
from omnidesk.users.models import User

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
    overdue = ma.fields.Integer(
        metadata={"description": "Tickets not closed, past their `due_at`", "example": 2}
    )
    unassigned = ma.fields.Integer(
        metadata={"description": "Tickets not closed that nobody has", "example": 1}
    )
    mine = ma.fields.Integer(
        metadata={"description": "Tickets not closed that the caller has", "example": 3}
    )


class ConversationCounts(ResponseSchema):
    """How many of the active conversations somebody should look at."""

    waiting = ma.fields.Integer(
        metadata={"description": "Active conversations whose client waits", "example": 4}
    )
    unassigned = ma.fields.Integer(
        metadata={
            "description": "Active conversations that nobody has, or who has left",
            "example": 2,
        }
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
        metadata={"description": "The sum of all `unread_count`", "example": 7}
    )
    conversations = ma.fields.Nested(
        ConversationCounts,
        metadata={
            "description": "Active conversations",
            "example": ConversationCounts.example(),
        },
    )
    longest_waiting_since = ma.fields.String(  # which the database writes
        allow_none=True,
        metadata={
            "format": "date-time",
            "description": "Since when the client waits who waits longest; null for none",
            "example": "2025-10-29T09:12:00Z",
        },
    )
    oldest_queued_at = ma.fields.String(  # which the database writes
        allow_none=True,
        metadata={
            "format": "date-time",
            "description": "Since when the oldest waits of what is yet to be sent, to a client or"
            " a webhook; null for nothing",
            "example": None,
        },
    )


OPEN: list[Any] = [literal_column(f"'{status}'") for status in STATUSES if status != "cerrado"]
NOW: Any = bindparam("now")
TODAY: BindParameter[str] = bindparam("today")
DAWN: Any = bindparam("dawn")
MIDNIGHT: Any = bindparam("midnight")


def count(*conditions: Any) -> ScalarSelect[int]:
    """Return the subquery that counts the rows which meet conditions, in an index."""
    return select(func.count()).where(*conditions).scalar_subquery()


# Nothing that grows with the desk is counted here: only what is due today, the tickets of one
# person, and what has to be taken over from people who have left.
STILL_TO_START = count(Event.start_time >= NOW, Event.start_time < MIDNIGHT)
OVERDUE_TODAY = count(Ticket.status.in_(OPEN), Ticket.due_at >= DAWN, Ticket.due_at < NOW)
MINE = count(Ticket.status.in_(OPEN), Ticket.assigned_to == bindparam("user_id"))
LEFT = select(User.user_id).where(User.active.is_(False))
OF_LEAVERS = count(Conversation.active.is_(True), Conversation.assigned_to.in_(LEFT))


def first_waiting(*, for_bot: bool) -> Select[Any]:
    """Select since when the client waits who waits longest for a bot, or for people."""
    since: Any = func.min(Conversation.waiting_since).label("since")
    return select(since).where(
        Conversation.active.is_(True),
        Conversation.handled_by_bot.is_(for_bot),
        Conversation.waiting,
    )


# An index has them in order only where it is known whose turn it is.
FIRST_WAITING = union_all(first_waiting(for_bot=True), first_waiting(for_bot=False)).subquery()
LONGEST = select(func.min(FIRST_WAITING.c.since))
SUMMARY = Statement(
    select(
        Counter.value("users"),
        Counter.value("abierto"),
        Counter.value("en_progreso"),
        Counter.value("cerrado"),
        Counter.due_before(TODAY) + OVERDUE_TODAY,
        Counter.value("unassigned"),
        MINE,
        Counter.events_after(TODAY) + STILL_TO_START,
        Counter.value("unread"),
        Counter.value("waiting"),
        Counter.value("nobody") + OF_LEAVERS,
        JsonTime(LONGEST.scalar_subquery()),
        OLDEST_QUEUED,
    )
)


@blp.get("/summary")
@blp.response(200, SummarySchema)
def get_summary() -> dict[str, Any]:
    """Count what a dashboard shows"""
    now = utcnow()
    dawn = now.replace(hour=0, minute=0, second=0, microsecond=0)
    (row,) = SUMMARY.fetch(
        now=now,
        today=now.date().isoformat(),
        dawn=dawn,
        midnight=dawn + timedelta(days=1),
        user_id=current_user.user_id,
    )
    users, open_, in_progress, closed, overdue, unassigned, mine, *others = row
    upcoming, unread, waiting, nobodys, longest, queued = others
    return {
        "users_count": users,
        "tickets": {
            "open": open_,
            "in_progress": in_progress,
            "closed": closed,
            "overdue": overdue,
            "unassigned": unassigned,
            "mine": mine,
        },
        "upcoming_events": upcoming,
        "unread_messages": unread,
        "conversations": {"waiting": waiting, "unassigned": nobodys},
        "longest_waiting_since": longest,
        "oldest_queued_at": queued,
    }
