"""Lists of tickets: their order, and which tickets are overdue."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, UnaryExpression, bindparam, case, literal_column, or_

SORTED_BY = ("ticket_id", "updated_at", "due_at", "priority")
NEWEST_FIRST = ("-ticket_id",)
SORTED_TIMES = ("updated_at", "due_at")
# What tickets are found by and then ordered by a time, in an index, and what more it has of each:
# a priority or a status is then compared without reading the ticket.
SORTED_WITHIN: dict[tuple[str, ...], tuple[str, ...]] = {
    (): (),
    ("status",): (),
    ("client_id",): ("priority", "status"),
    ("status", "priority"): (),
    ("assigned_to", "status"): ("priority",),
}
CLOSED: Any = literal_column("'cerrado'")


def ordered(sort: tuple[str, ...], tickets: Any, copies: Any) -> Iterator[UnaryExpression[Any]]:
    """Yield the ORDER BY clauses of columns, each with `-` before its name where it descends.

    The id comes last, in the direction of the last time; without one, the newest come first. Where
    an entity has copies of some of the columns, these are taken.
    """
    descending = True
    for key in sort:
        name = key.removeprefix("-")
        column = getattr(copies, name, getattr(tickets, name))
        if name == "priority":
            ranks = {value: rank for rank, value in enumerate(tickets.priority.type.enums)}
            column = case(ranks, value=column)
        else:
            descending = key != name
        clause = column.desc() if key != name else column.asc()
        yield clause.nulls_last() if name == "due_at" else clause
        if name == "ticket_id":
            return
    yield copies.ticket_id.desc() if descending else copies.ticket_id.asc()


def first_order(sort: tuple[str, ...]) -> str:
    """Return the column by which tickets of the same priority are ordered first."""
    names = (key.removeprefix("-") for key in sort)
    return next((name for name in names if name != "priority"), "ticket_id")


def overdue_conditions(tickets: Any) -> list[ColumnElement[bool]]:
    """Return the conditions of tickets that are overdue at the time `now`."""
    return [tickets.status != CLOSED, tickets.due_at < bindparam("now")]


def not_overdue(tickets: Any) -> ColumnElement[bool]:
    """Return the condition of all other tickets."""
    return or_(
        tickets.status == CLOSED, tickets.due_at.is_(None), tickets.due_at >= bindparam("now")
    )
