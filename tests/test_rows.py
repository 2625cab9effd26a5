"""The short way from a row to JSON and the long way say the same."""

import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
import orjson
import pytest
from flask import g
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnidesk.api import Answer, fields, plans, rows
from omnidesk.api.parts import Part
from omnidesk.tickets.models import PRIORITIES, STATUSES, TAG, Ticket
from omnidesk.tickets.schemas import TicketSchema
from tests.conftest import Caller, make_client, make_conversation, make_event, make_ticket

PATHS = [
    "/api/tickets",
    "/api/tags",
    "/api/events",
    "/api/users",
    "/api/clients",
    "/api/conversations",
]
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.sampled_from(string.printable),
    min_size=1,
    max_size=40,
)
SECONDS = st.integers(0, 230 * 365 * 86_400)
TIMES = SECONDS.map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@pytest.fixture
def the_long_way(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Switch to marshmallow for every field."""

    def switch() -> None:
        monkeypatch.setattr(rows, "FORMS", {})
        forget()

    yield switch
    monkeypatch.undo()
    forget()


def forget() -> None:
    """Forget by which way rows were shown."""
    rows.columns.cache_clear()
    plans.planned.cache_clear()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_rows_are_the_same_bytes(agent: Caller, monkeypatch: Any, data: Any) -> None:
    client = make_client(full_name=data.draw(TEXTS), active=data.draw(st.booleans()))
    ticket = make_ticket(
        client.client_id,
        subject=data.draw(TEXTS),
        description=data.draw(st.none() | TEXTS),
        priority=data.draw(st.sampled_from(PRIORITIES)),
        status=data.draw(st.sampled_from(STATUSES)),
        due_at=data.draw(st.none() | TIMES),
        created_at=data.draw(TIMES),
    )
    for tag in data.draw(st.sets(st.from_regex(TAG, fullmatch=True), max_size=3)):
        agent.put(f"/api/tickets/{ticket.ticket_id}/tags/{tag}")
    start = data.draw(TIMES)
    make_event(title=data.draw(TEXTS), start_time=start, end_time=max(start, data.draw(TIMES)))
    make_conversation(client_id=client.client_id, updated_at=data.draw(TIMES))
    short = [(answer.data, answer.headers) for answer in map(agent.get, PATHS)]

    with monkeypatch.context() as patch:
        patch.setattr(rows, "FORMS", {})
        forget()
        long = [(answer.data, answer.headers) for answer in map(agent.get, PATHS)]
    forget()

    assert [body for body, _ in long] == [body for body, _ in short]
    assert [headers.get("Link") for _, headers in long] == [
        headers.get("Link") for _, headers in short
    ]


def test_one_row_is_the_same_bytes(agent: Caller, the_long_way: Any) -> None:
    ticket = make_ticket(description="ñ \u2028 🔑 \x07")
    path = f"/api/tickets/{ticket.ticket_id}"
    short = agent.get(path)

    the_long_way()
    long = agent.get(path)

    assert (long.data, long.status_code) == (short.data, short.status_code)
    assert agent.get("/api/tickets/424242").status_code == 404


def test_pages_are_the_same_the_long_way(agent: Caller, the_long_way: Any) -> None:
    client_id = make_client().client_id
    for _ in range(3):
        make_ticket(client_id)
    query = {"limit": 2}
    short = agent.get("/api/tickets", query_string=query)

    the_long_way()
    long = agent.get("/api/tickets", query_string=query)

    assert (long.data, long.headers["Link"]) == (short.data, short.headers["Link"])


class Shouted(fields.Text):
    """A field that shows something else than its column holds."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value.upper()


class Computed(Answer):
    """A schema with fields that no column holds."""

    ticket_id = fields.Id()
    subject = Shouted(Ticket.subject)
    is_open = ma.fields.Function(lambda ticket: ticket.resolved_at is None)
    itself = ma.fields.Method("nested")

    def nested(self, ticket: Ticket) -> Any:
        """Show the same ticket once more."""
        return TicketSchema().dump(ticket)


class Wrapped(Answer):
    """A schema that changes what it has shown."""

    ticket_id = fields.Id()

    @ma.post_dump
    def wrap(self, shown: Any, **_: Any) -> Any:
        """Put the row into an envelope."""
        return {"ticket": shown}


def shown(schema: type[Answer]) -> Any:
    """Give how a schema shows the only ticket."""
    (row,) = plans.find(lambda _: Ticket.matching(), schema, {}, {}).shown
    return orjson.loads(row)


def test_a_schema_with_computed_fields_needs_no_special_care(app: Any) -> None:
    ticket = make_ticket()

    computed = shown(Computed)

    assert computed["subject"] == "CANNOT LOGIN"
    assert computed["is_open"] is True
    assert computed["itself"]["ticket_id"] == ticket.ticket_id
    assert shown(Wrapped) == {"ticket": {"ticket_id": ticket.ticket_id}}


def subjects(view: Any, **filters: Any) -> list[str]:
    """Give the subjects of the tickets that a view selects."""
    found = plans.find(view, TicketSchema, filters, {}, Part(50, 0))
    return [orjson.loads(row)["subject"] for row in found.shown]


def test_a_view_is_asked_once_for_each_set_of_names(app: Any) -> None:
    calls = []

    def view(filters: dict[str, Any]) -> Any:
        calls.append(filters)
        return Ticket.matching(**filters)

    make_ticket(subject="one", priority="alta")
    make_ticket(subject="two", priority="baja")

    assert subjects(view, priority="alta") == ["one"]
    assert subjects(view, priority="baja") == ["two"]
    assert subjects(view, priority="media") == []
    assert len(calls) == 1
    assert subjects(view) == ["two", "one"]
    assert len(calls) == 2


def by_who_is_calling(_filters: Any) -> Any:
    """Select what a member of staff may see."""
    return Ticket.matching() if g.get("user") else Ticket.matching(priority="alta")


def by_a_look_at_the_value(filters: Any) -> Any:
    """Select by a value that is changed first."""
    return Ticket.matching(subject=filters["q"].lower())


def by_a_comparison(filters: Any) -> Any:
    """Select in one way or another."""
    if filters["q"] == "ONE":
        return Ticket.matching(subject="one")
    return Ticket.matching()


def test_what_depends_on_more_than_names_is_asked_each_time(app: Any) -> None:
    make_ticket(subject="one")
    make_ticket(subject="two")

    times = iter((0, 0, 1))

    def by_the_clock(_filters: Any) -> Any:
        """Select by something that changes from one request to the next."""
        return Ticket.matching().where(Ticket.ticket_id > next(times))

    assert subjects(by_the_clock) == ["two", "one"]
    assert subjects(by_the_clock) == ["two"]
    assert subjects(by_who_is_calling) == []
    g.user = "somebody"
    assert subjects(by_who_is_calling) == ["two", "one"]
    del g.user
    assert subjects(by_a_look_at_the_value, q="ONE") == ["one"]
    assert subjects(by_a_look_at_the_value, q="TWO") == ["two"]
    assert subjects(by_a_comparison, q="x") == ["two", "one"]
    assert subjects(by_a_comparison, q="ONE") == ["one"]
