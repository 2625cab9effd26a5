"""Counts of rows that triggers keep, in the transaction that changes the rows."""

from typing import Any

from sqlalchemy import BindParameter, ScalarSelect, Select, func, literal_column, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db.base import Base
from omnidesk.db.types import bytewise_text


class Counter(Base):
    """How many rows a name stands for.

    That is a ticket's status, `unassigned` of those that are not closed, `due 2025-10-29` of these
    by day; `waiting` and `nobody` of active conversations, `unread` of messages; `users`; and
    events by day.

    PostgreSQL spreads a count over slots, so that writers do not wait for each other.
    """

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(bytewise_text(16), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int]

    @classmethod
    def value(cls, name: str) -> ScalarSelect[Any]:
        """Return the subquery of the count of a name."""
        return cls.total().filter_by(name=name).scalar_subquery()

    @classmethod
    def events_after(cls, day: BindParameter[str]) -> ScalarSelect[Any]:
        """Return the subquery of the count of events that start after a day (`2025-10-29`)."""
        return cls.total().where(cls.name > day, cls.name <= "2199-12-31").scalar_subquery()

    @classmethod
    def due_before(cls, day: BindParameter[str]) -> ScalarSelect[Any]:
        """Return the subquery of the count of open tickets that were due before a day."""
        bounds: Any = literal_column("'due '")
        return cls.total().where(cls.name > bounds, cls.name < bounds.concat(day)).scalar_subquery()

    @classmethod
    def total(cls) -> Select[Any]:
        """Return the select of the sum of all counts."""
        return select(func.coalesce(func.sum(cls.count), 0))
