"""Prepared statements: what the database writes is what marshmallow would, for every list."""

import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
import orjson
import pytest
from flask import g
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import and_, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, contains_eager, relationship

from omnidesk.clients.models import Client
from omnidesk.conversations.models import SORTS
from omnidesk.db import Base, Filters, db, utcnow
from omnidesk.http import (
    PreparedSelect,
    ResponseSchema,
    fields,
    list_statements,
    serialization,
)
from omnidesk.http.pagination import Page
from omnidesk.tickets.finding import matching
from omnidesk.tickets.models import PRIORITIES, STATUSES, Ticket
from omnidesk.tickets.schemas import TicketSchema
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.making import make_deliveries
from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_identity,
    make_message,
    make_tag,
    make_ticket,
    make_user,
    recorded_statements,
)
from tests.webhooks import make_webhook

PROPERTY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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
def plainly(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Call something while marshmallow writes all rows and no statement is kept."""

    def forget() -> None:
        serialization.json_columns.cache_clear()
        for cached in (
            list_statements.row_statement,
            list_statements.page_statement,
            list_statements.count_statement,
        ):
            cached.cache_clear()

    def call(act: Callable[..., Any], *args: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(serialization, "JSON_SQL", {})
            forget()
            try:
                return act(*args)
            finally:
                forget()

    yield call
    forget()


def answer(caller: Caller, path: str) -> tuple[int, bytes, str | None]:
    """Return the status, the body and the links of a response."""
    response = caller.get(path)
    return response.status_code, response.data, response.headers.get("Link")


@PROPERTY
@given(data=st.data())
def test_random_rows_are_the_same_bytes(agent: Caller, plainly: Any, data: Any) -> None:
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
    for tag in data.draw(
        st.sets(st.from_regex("[a-zñж0-9][a-zñж0-9_.:-]{0,49}", fullmatch=True), max_size=3)
    ):
        agent.put(f"/api/tickets/{ticket.ticket_id}/tags/{tag}")
    start = data.draw(TIMES)
    make_event(title=data.draw(TEXTS), start_time=start, end_time=max(start, data.draw(TIMES)))
    make_conversation(client_id=client.client_id, updated_at=data.draw(TIMES))

    prepared = [answer(agent, path) for path in PATHS]

    assert prepared == plainly(lambda: [answer(agent, path) for path in PATHS])


ENUMS = {"status": STATUSES, "priority": PRIORITIES, "role": ("admin", "empleado")}
IDS = st.integers(1, 4).map(str)
BOOLEANS = st.sampled_from(["true", "false", "1", "0"])
MOMENTS = st.sampled_from(["2025-11-01T00:00:00Z", "2025-11-02T00:00:00Z", "2030-01-01T00:00:00Z"])
INCLUDES = {
    name: st.sampled_from(names)
    for name, names in {
        "tickets": ["client", "assignee,etag", "client,assignee"],
        "events": ["ticket", "creator", "ticket,creator"],
        "conversations": ["client", "last_message", "client,assignee,last_message"],
        "messages": ["user", "etag"],
        "comments": ["user"],
    }.items()
}


def several(values: Any) -> st.SearchStrategy[str]:
    """Return a strategy for one or several of some values, separated by commas."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3).map(",".join)


TICKETS = {
    **{name: several(ENUMS[name]) for name in ("status", "priority")},
    **dict.fromkeys(("ticket_id", "client_id", "conversation_id"), several("1234")),
    "assigned_to": several(["1", "2", "me", "none"]),
    "tag": several(["vip", "bug"]),
    "include": INCLUDES["tickets"],
    "overdue": BOOLEANS,
    "sort": st.sampled_from(["-updated_at", "due_at", "-due_at,priority", "priority,ticket_id"]),
}
LISTS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "/api/tickets": TICKETS,
    "/api/events": {
        **dict.fromkeys(("start", "end"), MOMENTS),
        **dict.fromkeys(("ticket_id", "client_id", "created_by"), IDS),
        "overlaps": BOOLEANS,
        "include": INCLUDES["events"],
    },
    "/api/users": {
        "user_id": several("1234"),
        "q": st.sampled_from(["agent", "2", "@"]),
        "include": st.just("etag"),
        "active": BOOLEANS,
        "role": several(ENUMS["role"]),
    },
    "/api/clients": {
        "q": st.sampled_from(["ada", "A", "example lov", "1"]),
        "active": BOOLEANS,
        "external_id": st.sampled_from(["crm-1", "crm-2"]),
        "client_id": several("1234"),
        "email": st.just("Ada1@example.com"),
        "phone": st.just("1"),
        "include": st.just("etag"),
    },
    "/api/conversations": {
        **dict.fromkeys(("conversation_id", "client_id"), several("1234")),
        **dict.fromkeys(("active", "handled_by_bot", "unread", "waiting"), BOOLEANS),
        "assigned_to": several(["1", "2", "me", "none"]),
        "channel": st.sampled_from(["web", "other"]),
        "external_chat_id": st.just("chat"),
        "include": INCLUDES["conversations"],
        "sort": st.sampled_from(SORTS),
    },
    "/api/conversations/4/messages": {
        "order": st.sampled_from(["asc", "desc"]),
        "sender": several(["client", "user", "bot"]),
        "include": INCLUDES["messages"],
        **dict.fromkeys(("after", "before"), st.integers(1, 7).map(str)),
    },
    "/api/clients/1/identities": {"include": st.just("etag")},
    "/api/tickets/1/comments": {"include": INCLUDES["comments"]},
    "/api/tickets/1/history": {},
    "/api/tags": {},
    "/api/changes": {
        "after": st.integers(0, 40).map(str),
        "entity": several(["ticket", "client", "user", "message"]),
        "actor": several(["1", "2", "me"]),
        "since": MOMENTS,
    },
    "/api/me/sessions": {},
    "/api/tokens": {},
    "/api/channels": {"include": st.just("etag")},
    "/api/webhooks": {},
    "/api/webhooks/1/deliveries": {
        "state": several(["pending", "sent", "failed"]),
        "seq": st.integers(1, 30).map(str),
    },
}
PAGING = {"limit": st.sampled_from(["1", "2", "3", "200"]), "offset": st.sampled_from("0123")}


@pytest.fixture
def desk(admin: Caller) -> None:
    """Rows of every kind, which differ in everything that a filter looks at."""
    make_webhook(description="All")
    make_webhook(active=False)
    for n in range(4):
        user = make_user(f"agent-{n}", active=n != 1, role=("admin", "empleado")[n % 2])
        client = make_client(active=n != 2, external_id=f"crm-{n}", email=f"ada{n}@example.com")
        make_identity(client, channel="web")
        make_identity(client, channel="sms")
        assigned = None if n % 2 else admin.user.user_id
        ticket = make_ticket(
            client.client_id,
            status=STATUSES[n % 3],
            priority=PRIORITIES[n % 2],
            assigned_to=assigned,
            due_at=None if n == 1 else datetime(2025, 11, 4 - n, tzinfo=UTC),
        )
        for tag in ("vip", "bug")[: n % 3]:
            make_tag(ticket, tag)
        day = datetime(2025, 11, 1 + n, tzinfo=UTC)
        make_event(
            start_time=day,
            end_time=day,
            created_by=user.user_id,
            ticket_id=None if n == 1 else ticket.ticket_id,
        )
        conversation = make_conversation(
            client_id=client.client_id, updated_at=day, active=n != 2, assigned_to=assigned
        )
        for _ in range(n):
            make_message(conversation)
        make_comment(ticket_id=1, user_id=user.user_id)
        admin.post("/api/channels", json={"channel": f"paper-{n}", "type": "none"})
        if n % 2:
            origin = {"conversation_id": conversation.conversation_id}
            admin.patch(f"/api/tickets/{ticket.ticket_id}", json=origin)
    make_deliveries()
    failed = {"state": "failed", "due_at": None, "status_code": 500, "error": "It answered 500."}
    db.session.execute(update(WebhookDelivery).where(WebhookDelivery.seq < 9).values(failed))
    db.session.commit()


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("path", LISTS)
def test_every_list_with_any_parameters_is_as_marshmallow_would_write_it(
    admin: Caller, plainly: Any, path: str
) -> None:
    @PROPERTY
    @given(query=st.fixed_dictionaries({}, optional=LISTS[path] | PAGING))
    def check(query: dict[str, str]) -> None:
        url = f"{path}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
        headers = {"Prefer": "count=exact"}
        prepared = admin.get(url, headers=headers)
        assert prepared.status_code == 200

        plain = plainly(admin.get, url, headers)

        assert prepared.data == plain.data
        for name in ("Link", "X-Total-Count"):
            assert prepared.headers.get(name) == plain.headers.get(name)

    check()


def test_one_row_is_the_same_bytes(agent: Caller, plainly: Any) -> None:
    ticket = make_ticket(description="ñ \u2028 🔑 \x07")
    path = f"/api/tickets/{ticket.ticket_id}"

    assert answer(agent, path) == plainly(answer, agent, path)
    assert agent.get("/api/tickets/424242").status_code == 404


class Shouted(fields.TextField):
    """A field that shows something else than its column holds."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value.upper()


class Computed(ResponseSchema):
    """A schema with fields that no column holds."""

    ticket_id = fields.IdField()
    subject = Shouted(Ticket.subject)
    is_open = ma.fields.Function(lambda ticket: ticket.resolved_at is None)


class Wrapped(ResponseSchema):
    """A schema that changes what it has written."""

    ticket_id = fields.IdField()

    @ma.post_dump
    def wrap(self, shown: Any, **_: Any) -> Any:
        """Put the row into an envelope."""
        return {"ticket": shown}


def test_a_schema_that_sql_cannot_write_is_written_by_marshmallow(app: Any) -> None:
    ticket = make_ticket()
    found = PreparedSelect(matching, {})

    (computed,) = found.page(Computed, Page(50)).rows
    row = found.row(Wrapped)

    assert orjson.loads(computed) == {
        "ticket_id": ticket.ticket_id,
        "subject": "CANNOT LOGIN",
        "is_open": True,
    }
    assert row is not None
    assert orjson.loads(row[0]) == {"ticket": {"ticket_id": ticket.ticket_id}}


def subjects(build: Any, **values: Any) -> list[str]:
    """Return the subjects of the tickets that a function selects."""
    rows = PreparedSelect(build, values).page(TicketSchema, Page(50)).rows
    return [orjson.loads(row)["subject"] for row in rows]


def test_a_select_is_built_once_for_each_set_of_filters(app: Any) -> None:
    calls = []

    def build(filters: Filters) -> Any:
        calls.append(filters)
        return matching(filters)

    make_ticket(subject="one", priority="alta")
    make_ticket(subject="two", priority="baja")
    assert subjects(build, priority="alta") == ["one"]
    first = len(calls)

    assert subjects(build, priority="baja") == ["two"]
    assert subjects(build, priority="media") == []
    assert len(calls) == first
    assert subjects(build) == ["two", "one"]
    assert len(calls) > first


def test_a_function_that_builds_a_select_gets_no_value(app: Any) -> None:
    def build(filters: Filters) -> Any:
        return matching(filters) if filters["priority"] == "alta" else None  # type: ignore[index]

    with pytest.raises(TypeError):
        subjects(build, priority="alta")


def test_a_filter_that_is_left_out_is_an_error_and_not_all_rows(app: Any) -> None:
    make_ticket()

    with pytest.raises(TypeError, match="does not filter by"):
        subjects(lambda _: matching(Filters()), priority="alta")


def of_the_caller(_: Filters) -> Any:
    """Select the tickets of whoever calls."""
    return select(Ticket).where(Ticket.assigned_to == g.user_id).order_by(Ticket.ticket_id)


def due_already(_: Filters) -> Any:
    """Select the tickets that are due by now."""
    return select(Ticket).where(Ticket.due_at < utcnow()).order_by(Ticket.ticket_id)


@pytest.mark.parametrize(
    ("build", "error"),
    [(of_the_caller, "asks for the request"), (due_already, "compares with a time")],
)
def test_what_is_kept_for_all_callers_knows_neither_one_nor_the_time(
    app: Any, build: Any, error: str
) -> None:
    g.user_id = make_user("emp1").user_id

    with pytest.raises((TypeError, RuntimeError), match=f"{build.__name__} {error}"):
        subjects(build)


def test_a_filter_may_be_null_or_a_list(app: Any) -> None:
    user_id = make_user("emp1").user_id
    make_ticket(subject="one", assigned_to=user_id, priority="alta")
    make_ticket(subject="two", priority="baja")
    make_ticket(subject="three", priority="media")

    assert subjects(matching, assigned_to=None) == ["three", "two"]
    assert subjects(matching, assigned_to=user_id) == ["one"]
    assert subjects(matching, priority=["alta", "baja"]) == ["two", "one"]
    assert subjects(matching, priority=["media"], assigned_to=None) == ["three"]
    assert subjects(matching, priority=[]) == []


def by_due_date(filters: Filters, *, order: str) -> Any:
    """Select tickets in an order of several columns, in both directions, with nulls."""
    due = Ticket.due_at.asc() if order == "earliest" else Ticket.due_at.desc()
    tickets = select(Ticket).where(*filters.conditions(Ticket))
    return tickets.order_by(Ticket.priority.asc(), due.nulls_last(), Ticket.ticket_id.desc())


@PROPERTY
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(PRIORITIES), st.none() | st.integers(0, 2)), max_size=9
    ),
    order=st.sampled_from(["earliest", "latest"]),
    limit=st.integers(1, 4),
)
def test_any_order_is_walked_in_both_directions(
    app: Any, rows: list[Any], order: str, limit: int
) -> None:
    client_id = make_client().client_id
    for priority, day in rows:
        due_at = None if day is None else datetime(2025, 11, 1 + day, tzinfo=UTC)
        make_ticket(client_id, priority=priority, due_at=due_at)
    select_ = PreparedSelect(by_due_date, {"client_id": client_id}, order=order)
    keys = select_.page(TicketSchema, Page(1)).keys
    assert [key.descending for key in keys] == [False, order == "latest", True]
    whole = select_.page(TicketSchema, Page(50)).rows

    forwards, places = follow(select_, "next", Page(limit))
    backwards, _ = follow(select_, "prev", Page(limit, cursor=places[-1]))

    assert forwards == whole
    assert backwards == whole
    assert select_.page(TicketSchema, Page(50, offset=2)).rows == whole[2:]


def follow(found: PreparedSelect, direction: str, page: Page) -> tuple[list[str], list[str]]:
    """Follow the links to the last page; return all rows and the cursors that were followed."""
    rows: list[str] = []
    cursors = [page.cursor]
    while True:
        part = found.page(TicketSchema, page)
        cut = page.cut(part.rows)
        rows = [*cut, *rows] if direction == "prev" else [*rows, *cut]
        more = len(part.rows) > page.limit
        places = page.neighbours(page.cut(part.positions), part.keys, more=more)
        name, value = places.get(direction, ("", ""))
        if name != "cursor":
            return rows, cursors
        cursors.append(str(value))
        page = Page(page.limit, cursor=str(value))


@pytest.mark.parametrize(
    "order", [Ticket.due_at, Ticket.due_at.desc(), Ticket.ticket_id.nulls_first()], ids=str
)
def test_an_order_in_which_nulls_might_come_first_is_an_error(app: Any, order: Any) -> None:
    with pytest.raises(TypeError, match="nulls last"):
        subjects(lambda _: select(Ticket).order_by(order))


@pytest.mark.parametrize(
    "order",
    [(), (Ticket.status,), (Ticket.ticket_id, Ticket.status)],
    ids=["none", "by status", "by id and status"],
)
def test_an_order_that_does_not_tell_rows_apart_is_an_error(app: Any, order: Any) -> None:
    with pytest.raises(TypeError, match="primary key"):
        subjects(lambda _: select(Ticket).order_by(*order))


class Mirror(DeclarativeBase):
    """The same tables with relationships, which the desk's own models do not have yet."""

    metadata = Base.metadata
    primary_key: Any = classmethod(Base.primary_key.__func__)  # type: ignore[attr-defined]


class ClientRow(Mirror):
    """A client."""

    __table__ = Client.__table__
    client_id: Mapped[int]
    active: Mapped[bool]


class TicketRow(Mirror):
    """A ticket with its client, which may be missing."""

    __table__ = Ticket.__table__
    ticket_id: Mapped[int]
    client_id: Mapped[int]
    client: Mapped[ClientRow | None] = relationship(viewonly=True, lazy="raise")


class ClientInTicket(ResponseSchema):
    """What a ticket shows of its client."""

    full_name = fields.TextField(Client.full_name)
    active = fields.BooleanField()


class TicketWithClient(ResponseSchema):
    """A ticket with its client nested."""

    ticket_id = fields.IdField()
    client = ma.fields.Nested(ClientInTicket)


def with_client(filters: Filters, *, active: bool) -> Any:
    """Select tickets with their clients; those of no active one have none."""
    joined = and_(ClientRow.client_id == TicketRow.client_id, ClientRow.active.is_(active))
    tickets = select(TicketRow).outerjoin(ClientRow, joined).where(*filters.conditions(TicketRow))
    return tickets.options(contains_eager(TicketRow.client)).order_by(TicketRow.ticket_id)


@pytest.mark.parametrize("active", [True, False])
def test_a_related_row_is_nested_by_the_same_statement(
    app: Any, plainly: Any, active: bool
) -> None:
    for number in range(3):
        make_ticket(make_client(active=number != 1).client_id)

    def rows() -> list[str]:
        found = PreparedSelect(with_client, {}, active=active)
        return found.page(TicketWithClient, Page(2)).rows

    with recorded_statements() as run:
        prepared = rows()

    assert len(run) == 1
    assert prepared == plainly(rows)
    clients = [orjson.loads(row)["client"] for row in prepared]
    shown = {"full_name": "Ada Lovelace", "active": active}
    assert clients == ([shown, None, shown] if active else [None, shown, None])
