"""The tickets that a list or a search finds."""

from typing import Any

from omnidesk.db import utcnow
from omnidesk.db.words import SearchQuery
from omnidesk.http import PreparedSelect, may_read, words_filters
from omnidesk.http.parameters import values_of
from omnidesk.tickets.finding import matching
from omnidesk.tickets.lists import SORTED_TIMES
from omnidesk.tickets.models import STATUSES

INDEXED_BY_STATUS = {"priority", "assigned_to"}
# An index has the tickets of a tag in each order; those of the others are few enough to be sorted.
WITHOUT_STATUS = {"tag", "client_id", "conversation_id"}


def select_tickets(filters: dict[str, Any]) -> PreparedSelect:
    """Return the tickets that meet the filters; first the one whose number is searched for."""
    shape: dict[str, Any] = {}
    shape |= {name: filters.pop(name) for name in ("sort", "overdue") if name in filters}
    if "overdue" in shape:
        filters = with_now(filters, overdue=shape["overdue"])
    if needs_status(filters, shape.get("sort", ())):
        filters.setdefault("status", [*STATUSES])
    query: SearchQuery | None = filters.pop("q", None)
    if query is None:
        return PreparedSelect(matching, filters, **shape)
    searched, shape["comments"] = filters | words_filters(query), may_read("comments")
    if query.number is None or not may_have(filters, query.number):
        return PreparedSelect(matching, searched, **shape)
    found = PreparedSelect(matching, searched | {"other_than": query.number}, **shape)
    found.top = PreparedSelect(matching, filters | {"ticket_id": query.number}, **shape)
    return found


def needs_status(filters: dict[str, Any], sort: tuple[str, ...]) -> bool:
    """Return whether an index has tickets in this order only where their status is known."""
    keys = {key.removeprefix("-") for key in sort}
    if not WITHOUT_STATUS.isdisjoint(filters):
        return False
    if keys.issuperset(SORTED_TIMES):
        return True
    return not keys.isdisjoint(SORTED_TIMES) and not INDEXED_BY_STATUS.isdisjoint({*keys, *filters})


def may_have(filters: dict[str, Any], number: int) -> bool:
    """Return whether the filters let a ticket have a number."""
    return number in values_of(filters.get("ticket_id", number))


def with_now(filters: dict[str, Any], *, overdue: bool) -> dict[str, Any]:
    """Return filters with the time, in seconds; for what is overdue, with each open status.

    An index has the tickets of one status by the time they are due.
    """
    found = filters | {"now": utcnow().replace(microsecond=0)}
    if overdue:
        statuses = values_of(filters.get("status", [*STATUSES]))
        found["status"] = [status for status in statuses if status != "cerrado"]
    return found
