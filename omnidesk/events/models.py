"""Events of the calendar."""

from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, RuleViolation, Versioned

MAX_LENGTH = timedelta(days=366)


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
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the events that meet the filters, earliest first.

        `start` and `end` are a window that the events start and end in, both inclusive.
        """
        events = select(cls).where(*filters.conditions(cls, "start", "end"))
        if "start" in filters:
            events = events.where(cls.start_time >= bindparam("start"))
        if "end" in filters:
            end: Any = bindparam("end")
            # What starts later does not end in time either: the index is walked no further.
            events = events.where(cls.end_time <= end, cls.start_time <= end)
        return events.order_by(cls.start_time, cls.event_id)
