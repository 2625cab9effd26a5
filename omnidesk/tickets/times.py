"""Tickets by when they were created, changed and resolved, and by when they are due."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, literal_column, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters
from omnidesk.db.change_log import ONE
from omnidesk.db.scans import Criterion

TIMES = ("created", "updated", "resolved", "due")
# The order of a list in which an index meets the filters by a time.
ORDERS = {"created": "ticket_id", "updated": "updated_at", "due": "due_at"}
TIME_FILTERS = tuple(f"{name}_{side}" for name in TIMES for side in ("since", "before"))
IDS: ColumnElement[int] = literal_column("512")  # of a span


class TicketSpan(Base):
    """The earliest times of the tickets of 512 consecutive ids; their creation's latest, too.

    Most tickets are created in the order of their ids, but not those that are imported. So a list
    by ids, newest first, begins where there may be a ticket that is early enough. Triggers keep it;
    a time that no ticket has any more may stay, since it leads to no ticket less.
    """

    __tablename__ = "ticket_span"

    span: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_before: Mapped[datetime]  # a full hour
    first_created: Mapped[datetime]
    first_updated: Mapped[datetime]
    first_resolved: Mapped[datetime | None]
    first_due: Mapped[datetime | None]

    @classmethod
    def id_conditions(cls, filters: Filters, ticket_id: Any) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions that an id of a ticket must meet by the filters by times."""
        if "created_since" in filters:
            since = bindparam("created_since", type_=cls.created_before.type)
            first = cls.having(cls.created_before > since).order_by(cls.span)
            yield ticket_id >= first.limit(ONE).scalar_subquery() * IDS
        for name in TIMES:
            if f"{name}_before" in filters:
                before = bindparam(f"{name}_before", type_=cls.created_before.type)
                last = cls.having(getattr(cls, f"first_{name}") < before).order_by(cls.span.desc())
                yield ticket_id < (last.limit(ONE).scalar_subquery() + ONE) * IDS

    @classmethod
    def having(cls, condition: ColumnElement[bool]) -> Select[int]:
        """Select the spans that meet a condition."""
        return select(cls.span).where(condition).correlate(None)


def by_times(
    filters: Filters, tickets: Any, copies: Any, order: str
) -> tuple[list[ColumnElement[bool]], list[Criterion]]:
    """Return the conditions of the time filters, and the criteria of the others.

    The conditions are those that an index meets in the order of the list: `order` is its column,
    of the entity that has copies of some columns. Of the criteria, the narrowest comes first.
    """
    conditions, criteria = [], []
    by_id = [*TicketSpan.id_conditions(filters, copies.ticket_id)] if order == "ticket_id" else []
    for name in TIMES:
        if ORDERS.get(name) == order:
            entity = tickets if name == "created" else copies  # of creation there is no copy
            conditions += time_conditions(filters, name, entity)
        else:
            found = time_conditions(filters, name, tickets)
            criteria.append(Criterion(found, select(tickets.ticket_id).where(*found).limit))
    criteria.sort(key=lambda each: len(each.conditions), reverse=True)
    return [*by_id, *conditions], criteria


def time_conditions(filters: Filters, name: str, entity: Any) -> list[ColumnElement[bool]]:
    """Return the conditions that a time is at or after one time, and before another."""
    column, found = getattr(entity, f"{name}_at"), []
    if f"{name}_since" in filters:
        found.append(column >= bindparam(f"{name}_since", type_=column.type))
    if f"{name}_before" in filters:
        found.append(column < bindparam(f"{name}_before", type_=column.type))
    return found
