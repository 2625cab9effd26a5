"""Counts that are kept, not counted: triggers move them in the transaction that moves the rows."""

from typing import Any

from sqlalchemy import BindParameter, String, func, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base


class Counter(Base):
    """How many rows there are under a name, in slots that spread writers on PostgreSQL."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int]

    @classmethod
    def of(cls, name: str) -> Any:
        """Select the count under a name: a ticket's status, unread messages, or users."""
        return cls.sum().filter_by(name=name).scalar_subquery()

    @classmethod
    def after(cls, day: BindParameter[str]) -> Any:
        """Select the count of all events that start on later days (`2025-10-29`)."""
        return cls.sum().where(cls.name > day, cls.name <= "2199-12-31").scalar_subquery()

    @classmethod
    def sum(cls) -> Any:
        """Select the sum of all counts."""
        return select(func.coalesce(func.sum(cls.count), 0))
