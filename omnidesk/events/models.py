"""What is in the calendar."""

from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Refused, Versioned

LONGEST = timedelta(days=366)


class Event(Versioned, Base):
    """An appointment, with or without a ticket."""

    __tablename__ = "calendar_event"

    event_id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(10_000))
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
    def plan(cls, **fields: Any) -> Self:
        """Give a new event; raises Refused for one that ends before it starts, or a year later."""
        event = cls(**fields)
        event.check()
        return event

    def change(self, **fields: Any) -> None:
        """Change these fields; raises Refused as for a new event."""
        super().change(**fields)
        self.check()

    def check(self) -> None:
        """Refuse to end before the start, or more than a year after it."""
        if self.end_time < self.start_time:
            raise Refused("end_time", "Must not be before start_time.")
        if self.end_time - self.start_time > LONGEST:
            raise Refused("end_time", "Must be within a year of start_time.")

    @classmethod
    def matching(
        cls, start: datetime | None = None, end: datetime | None = None, **filters: object
    ) -> Select[Self]:
        """Select the events within a window and with these values, earliest first."""
        events = select(cls).filter_by(**filters).order_by(cls.start_time, cls.event_id)
        if start is not None:
            events = events.where(cls.start_time >= start)
        if end is not None:
            # Nothing that starts later ends in time: the index need not be walked further.
            events = events.where(cls.end_time <= end, cls.start_time <= end)
        return events
