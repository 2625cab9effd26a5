"""Filters together: every combination of them finds what a filter in plain Python finds."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import combinations, product
from typing import Any

import pytest
from sqlalchemy import insert

from omnidesk.db import db
from omnidesk.events.models import Event
from omnidesk.tickets.models import PRIORITIES, STATUSES, Ticket
from omnidesk.tickets.tags import TicketTag
from tests.conftest import Caller, make_client, make_user

TICKET_FILTERS: dict[str, list[Any]] = {
    "status": [*STATUSES],
    "priority": [*PRIORITIES[:2]],
    "assigned_to": [1, 2],
    "client_id": [1, 2],
    "tag": ["vip", "bug"],
}
DAYS = [datetime(2025, 11, day, tzinfo=UTC) for day in range(1, 5)]
EVENT_FILTERS: dict[str, list[Any]] = {
    "start": [f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in DAYS[:3]],
    "end": [f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in DAYS[1:]],
    "created_by": ["1", "2"],
    "ticket_id": ["1", "1,2"],
}


def queries(filters: dict[str, list[Any]], counts: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Return every choice of so many filters, with every choice of their values."""
    for count in counts:
        for names in combinations(filters, count):
            for values in product(*(filters[name] for name in names)):
                yield dict(zip(names, values, strict=True))


def found(caller: Caller, path: str, key: str, query: dict[str, Any]) -> list[int]:
    """Return the ids of a list's rows, from page to page."""
    answer = caller.get(path, query_string=query | {"limit": 200})
    assert answer.status_code == 200
    return [row[key] for row in answer.json]


@pytest.fixture
def people(app: Any) -> None:
    """Two clients and two users, numbered 1 and 2, and a third user."""
    for number in (1, 2, 3):
        make_client()
        make_user(f"user-{number}")


@pytest.fixture
def tickets(people: None) -> list[dict[str, Any]]:
    """A ticket for each choice of values, and some that have none of a value."""
    values = product(STATUSES, PRIORITIES, (1, 2, None), (1, 2))
    rows: list[dict[str, Any]] = [
        {"status": status, "priority": priority, "assigned_to": user, "client_id": client}
        for status, priority, user, client in values
    ]
    tags = [("vip",), ("bug", "vip"), (), ("bug",), ("other",)]
    for number, row in enumerate(rows, 1):
        row |= {"ticket_id": number, "tags": tags[number % 5]}
    closed = {True: datetime(2025, 11, 1, tzinfo=UTC), False: None}
    new = [
        row | {"subject": "x", "tags": "[]", "resolved_at": closed[row["status"] == "cerrado"]}
        for row in rows
    ]
    db.session.execute(insert(Ticket), new)
    tagged = [{"ticket_id": row["ticket_id"], "tag": tag} for row in rows for tag in row["tags"]]
    db.session.execute(insert(TicketTag), tagged)
    db.session.commit()
    return rows


def test_tickets_are_found_by_any_filters_together(
    tickets: list[dict[str, Any]], admin: Caller
) -> None:
    empty = 0
    for query in queries(TICKET_FILTERS, (2, 3, 4, 5)):
        wanted = [
            row["ticket_id"]
            for row in reversed(tickets)
            if all(
                value in row["tags"] if name == "tag" else row[name] == value
                for name, value in query.items()
            )
        ]
        empty += not wanted
        assert found(admin, "/api/tickets", "ticket_id", query) == wanted, query
    assert empty < 100, "most queries find something"


@pytest.fixture
def events(tickets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of every start and end among four days, by two users or none, on a ticket or not."""
    spans = [(start, end) for start, end in product(DAYS, DAYS) if start <= end]
    rows: list[dict[str, Any]] = [
        {"start_time": start, "end_time": end, "created_by": user, "ticket_id": ticket}
        for (start, end), user, ticket in product(spans, (1, 2, None), (1, 2, None))
    ]
    for number, row in enumerate(rows, 1):
        row |= {"event_id": number, "title": "Call"}
    db.session.execute(insert(Event), rows)
    db.session.commit()
    return sorted(rows, key=lambda row: (row["start_time"], row["event_id"]))


def test_events_are_found_by_any_filters_together(
    events: list[dict[str, Any]], admin: Caller
) -> None:
    tests: dict[str, Callable[[dict[str, Any], Any], bool]] = {
        "start": lambda row, value: row["start_time"] >= datetime.fromisoformat(value),
        "end": lambda row, value: row["end_time"] <= datetime.fromisoformat(value),
        "created_by": lambda row, value: str(row["created_by"]) in value.split(","),
        "ticket_id": lambda row, value: str(row["ticket_id"]) in value.split(","),
    }
    for query in queries(EVENT_FILTERS, (2, 3, 4)):
        wanted = [
            row["event_id"]
            for row in events
            if all(tests[name](row, value) for name, value in query.items())
        ]
        assert found(admin, "/api/events", "event_id", query) == wanted, query


def test_a_page_of_filtered_tickets_leads_to_the_next(
    tickets: list[dict[str, Any]], admin: Caller
) -> None:
    query = {"status": "abierto", "client_id": 1, "tag": "vip"}
    whole = found(admin, "/api/tickets", "ticket_id", query)

    first = admin.get("/api/tickets", query_string=query | {"limit": 2})
    link = first.headers["Link"].partition(">")[0].lstrip("<")

    assert len(whole) > 2
    assert [row["ticket_id"] for row in (*first.json, *admin.get(link).json)] == whole[:4]
