"""The short way from a row to JSON and the long way say the same."""

import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnidesk.api import Answer, fields, rows
from omnidesk.db import db
from omnidesk.tickets.models import PRIORITIES, STATUSES, Ticket
from omnidesk.tickets.schemas import TicketSchema
from tests.conftest import Caller, make_client, make_conversation, make_event, make_ticket

PATHS = ["/api/tickets", "/api/events", "/api/users", "/api/clients", "/api/conversations"]
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
        rows.columns.cache_clear()

    yield switch
    monkeypatch.undo()
    rows.columns.cache_clear()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_rows_are_the_same_bytes(agent: Caller, monkeypatch: Any, data: Any) -> None:
    client = make_client(full_name=data.draw(TEXTS), active=data.draw(st.booleans()))
    make_ticket(
        client.client_id,
        subject=data.draw(TEXTS),
        description=data.draw(st.none() | TEXTS),
        priority=data.draw(st.sampled_from(PRIORITIES)),
        status=data.draw(st.sampled_from(STATUSES)),
        due_at=data.draw(st.none() | TIMES),
        created_at=data.draw(TIMES),
    )
    start = data.draw(TIMES)
    make_event(title=data.draw(TEXTS), start_time=start, end_time=max(start, data.draw(TIMES)))
    make_conversation(client_id=client.client_id, updated_at=data.draw(TIMES))
    short = [(answer.data, answer.headers) for answer in map(agent.get, PATHS)]

    with monkeypatch.context() as patch:
        patch.setattr(rows, "FORMS", {})
        rows.columns.cache_clear()
        long = [(answer.data, answer.headers) for answer in map(agent.get, PATHS)]
    rows.columns.cache_clear()

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


def test_a_schema_with_computed_fields_needs_no_special_care(app: Any) -> None:
    ticket = make_ticket()

    (shown,) = rows.find(Ticket.matching(), Computed).shown
    (wrapped,) = rows.find(Ticket.matching(), Wrapped).shown

    assert shown["subject"] == "CANNOT LOGIN"
    assert shown["is_open"] is True
    assert shown["itself"]["ticket_id"] == ticket.ticket_id
    assert wrapped == {"ticket": {"ticket_id": ticket.ticket_id}}


def test_the_long_way_reads_what_the_view_has_added(app: Any) -> None:
    make_ticket()
    more = Ticket.matching().add_columns(Ticket.status.label("extra"))

    for schema in (TicketSchema, Computed):
        (row,) = rows.find(more, schema, Ticket.ticket_id.label("key")).rows
        assert (row.extra, row.key) == ("abierto", 1)
    db.session.rollback()
