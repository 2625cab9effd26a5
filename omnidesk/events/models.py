"""Events of the calendar."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    GenerativeSelect,
    Index,
    Select,
    String,
    bindparam,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from omnidesk.db import Base, Filters, RuleViolation, Versioned
from omnidesk.db.base import partial_index
from omnidesk.db.folding import derived
from omnidesk.db.scans import Divided, is_among
from omnidesk.tickets.models import Ticket, client_of_ticket, lock_ticket
from omnidesk.users.models import User

LENGTHS = (1, 24, 7 * 24, 31 * 24, 366 * 24)  # hours, each for events that are no longer
MAX_LENGTH = timedelta(hours=LENGTHS[-1])
COMPARED_OTHERWISE = ("start", "end", "earliest")  # than by a column of the name


def longest_hours(start_time: datetime, end_time: datetime) -> int:
    """Return the least of `LENGTHS` that an event does not exceed."""
    lasts = end_time - start_time
    return next((hours for hours in LENGTHS if lasts <= timedelta(hours=hours)), LENGTHS[-1])


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

    # By it those that go on at some time are found, without a look at all that began before.
    longest_hours: Mapped[int] = derived(
        longest_hours,
        ("start_time", "end_time"),
        server_default=str(LENGTHS[-1]),
        sort_order=100,
    )
    client_id: Mapped[int | None] = client_of_ticket()

    ticket: Mapped[Ticket | None] = relationship(viewonly=True, lazy="raise")
    creator: Mapped[User | None] = relationship(viewonly=True, lazy="raise")

    __table_args__ = (
        CheckConstraint(
            "end_time >= start_time", name="ends_after_start", info={"field": "end_time"}
        ),
        Index(None, "start_time", "event_id"),
        Index(None, "end_time"),
        Index(None, "longest_hours", "start_time", "end_time"),
        Index(None, "created_by", "start_time", "event_id"),
        Index(None, "ticket_id", "start_time", "event_id"),
        partial_index("client_id IS NOT NULL", None, "client_id", "start_time", "event_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def lock_first(cls, _event_id: int, *data: dict[str, Any]) -> None:
        """Lock the ticket that the event is to be about, which a trigger locks otherwise."""
        for ticket_id in filter(None, (fields.get("ticket_id") for fields in data)):
            lock_ticket(ticket_id)

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
    def matching(cls, filters: Filters, *, overlaps: bool = False) -> Select[Self] | Divided:
        """Select the events that meet the filters, earliest first.

        `start` and `end` are a window that the events start and end in, both inclusive, or that
        they overlap.
        """
        events = select(cls).order_by(cls.start_time, cls.event_id)
        events = events.where(*filters.conditions(cls, *COMPARED_OTHERWISE))
        if overlaps:
            return cls.overlapping(events, filters)
        return events.where(*cls.within(filters))

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
    def overlapping(cls, events: Select[Self], filters: Filters) -> Select[Self] | Divided:
        """Select those events that have any moment in the window, whose end is excluded.

        An event without length has the moment at which it starts.
        """
        start, end = (bindparam(name, type_=cls.start_time.type) for name in ("start", "end"))
        if "end" in filters:
            events = events.where(cls.start_time < end)
        if "start" not in filters:
            return events
        if "end" in filters:
            events = events.where(start < end)  # or there is no moment in it
        going_on = is_among(cls.event_id, cls.going_on(filters, start))
        later = cls.start_time >= start
        selects = [events.where(condition) for condition in (going_on, later)]
        return Divided(events.where(or_(later, going_on)), selects)

    @classmethod
    def going_on(cls, filters: Filters, start: ColumnElement[datetime]) -> GenerativeSelect:
        """Select the ids of events that began before a time and end after it.

        `earliest` is when those of each of the `LENGTHS` may have begun.
        """
        found = [
            select(cls.event_id).where(
                cls.longest_hours == literal_column(str(hours)),
                cls.start_time >= earliest,
                cls.start_time < start,
                cls.end_time > start,
            )
            for hours, earliest in zip(LENGTHS, filters.items("earliest", start.type), strict=True)
        ]
        return union_all(*found)
