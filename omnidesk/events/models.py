"""Events of the calendar."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Select,
    String,
    bindparam,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from omnidesk.db import Base, Filters, RuleViolation, Versioned
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

MAX_LENGTH = timedelta(days=366)
COMPARED_OTHERWISE = ("start", "end", "earliest", "client_id")  # than by a column of the name


class Event(Versioned, Base):
    """An appointment, about a ticket or not."""

    __tablename__ = "calendar_event"
    logged_as = "event"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(65_536))
    start_time: Mapped[datetime]
    end_time: Mapped[datetime]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.ticket_id"))

    ticket: Mapped[Ticket | None] = relationship(viewonly=True, lazy="raise")
    creator: Mapped[User | None] = relationship(viewonly=True, lazy="raise")

    __table_args__ = (
        CheckConstraint(
            "end_time >= start_time", name="ends_after_start", info={"field": "end_time"}
        ),
        Index(None, "start_time", "event_id"),
        Index(None, "end_time"),
        Index(None, "created_by", "start_time", "event_id"),
        Index(None, "ticket_id", "start_time", "event_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def new(cls, **fields: Any) -> Self:
        """Return a new event; raise RuleViolation as `check` does."""
        event = cls(**fields)
        event.check()
        return event

    def change(self, **fields: Any) -> None:
        """Set these fields; raise RuleViolation as `check` does."""
        super().change(**fields)
        self.check()

    def check(self) -> None:
        """Raise RuleViolation if the event ends before it starts, or more than a year later."""
        if self.end_time < self.start_time:
            raise RuleViolation("end_time", "Must not be before start_time.")
        if self.end_time - self.start_time > MAX_LENGTH:
            raise RuleViolation("end_time", "Must be within a year of start_time.")

    @classmethod
    def matching(cls, filters: Filters, *, overlaps: bool = False) -> Select[Self]:
        """Select the events that meet the filters, earliest first.

        `start` and `end` are a window that the events start and end in, both inclusive.
        `client_id` is that of their tickets.
        """
        events = select(cls).where(*filters.conditions(cls, *COMPARED_OTHERWISE))
        if "client_id" in filters:
            asked = select(Ticket.ticket_id).where(filters.condition("client_id", Ticket.client_id))
            events = events.where(cls.ticket_id.in_(asked))
        conditions = cls.overlapping(filters) if overlaps else cls.within(filters)
        return events.where(*conditions).order_by(cls.start_time, cls.event_id)

    @classmethod
    def within(cls, filters: Filters) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions that an event starts and ends in the window."""
        if "start" in filters:
            yield cls.start_time >= bindparam("start")
        if "end" in filters:
            end: Any = bindparam("end")
            # What starts later does not end in time either: the index is walked no further.
            yield from (cls.end_time <= end, cls.start_time <= end)

    @classmethod
    def overlapping(cls, filters: Filters) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions that an event has any moment in the window, whose end is excluded.

        An event without length has the moment at which it starts. `earliest` is when an event may
        start that still goes on at the start of the window.
        """
        start, end = (bindparam(name, type_=cls.start_time.type) for name in ("start", "end"))
        if "start" in filters:
            yield cls.start_time >= bindparam("earliest")
            yield or_(cls.start_time >= start, cls.end_time > start)
        if "end" in filters:
            yield cls.start_time < end
        if "start" in filters and "end" in filters:
            yield start < end  # or there is no moment in it
