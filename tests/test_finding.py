"""Filters find what they say, all of it and in order: rows at random, against plain Python."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update

from omnidesk.conversations.messages import SENDERS
from omnidesk.db import db
from omnidesk.events.models import MAX_LENGTH, Event
from omnidesk.tickets.models import PRIORITIES, STATUSES, Ticket
from omnidesk.tickets.times import TIME_FILTERS
from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_event,
    make_message,
    make_tag,
    make_ticket,
    make_user,
)
from tests.test_lists import MOST, looking_at, walk, walk_back

PROPERTY = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TAGS = ("vip", "bug", "factura")
IDS = range(1, 4_801, 400)
TIMES = [f"2025-11-{day:02}T12:00:00Z" for day in range(1, 8)]


def some(values: Any) -> Any:
    """Return a strategy for one or several of some values, separated by commas."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


TICKET_FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "ticket_id": some(IDS),
        "status": some(STATUSES),
        "priority": some(PRIORITIES),
        "assigned_to": some(["me", "none", 1, 2]),
        "client_id": some([1, 2, 3]),
        "tag": some(TAGS),
        **{name: st.sampled_from(TIMES).map(lambda time: [time]) for name in TIME_FILTERS},
    },
)


@pytest.fixture
def tickets(agent: Caller) -> list[dict[str, Any]]:
    """Twelve tickets that differ in everything that they are found by."""
    other = make_user("emp2")
    for _ in range(3):
        make_client()
    for n, ticket_id in enumerate(IDS):
        ticket = make_ticket(
            1 + n % 3,
            ticket_id=ticket_id,
            status=STATUSES[n % 2 + (n > 8)],
            priority=PRIORITIES[n // 4],
            assigned_to=(None, agent.user.user_id, other.user_id)[n % 3],
            created_at=datetime.fromisoformat(TIMES[n * 5 % 7]),
            due_at=None if n % 4 == 0 else datetime.fromisoformat(TIMES[n * 3 % 7]),
        )
        if ticket.resolved_at:
            ticket.resolved_at = datetime.fromisoformat(TIMES[n % 7])
        for tag in TAGS[: n % 4]:
            make_tag(ticket, tag)
        db.session.execute(
            update(Ticket)
            .values(updated_at=datetime.fromisoformat(TIMES[n * 4 % 7]))
            .where(Ticket.ticket_id == ticket_id)
        )
        db.session.commit()
    rows: list[dict[str, Any]] = agent.get("/api/tickets?limit=200").json
    return rows


def fits(ticket: dict[str, Any], filters: dict[str, list[Any]], me: int) -> bool:
    """Return whether a ticket meets the filters."""

    def meets(name: str, values: list[Any]) -> bool:
        column, _, side = name.rpartition("_")
        if name == "tag":
            return set(values) <= set(ticket["tags"])
        if name not in TIME_FILTERS:
            return ticket[name] in [{"me": me, "none": None}.get(value, value) for value in values]
        time = ticket[f"{column}_at"]
        return time is not None and (time >= values[0]) == (side == "since")

    return all(meets(*item) for item in filters.items())


@PROPERTY
@given(
    filters=TICKET_FILTERS,
    limit=st.sampled_from([1, 2, 5, 50]),
    offset=st.integers(0, 4),
    most=MOST,
)
def test_tickets_are_found_by_any_filters_together(
    agent: Caller,
    tickets: list[dict[str, Any]],
    filters: dict[str, list[Any]],
    limit: int,
    offset: int,
    most: list[int],
) -> None:
    expected = [ticket for ticket in tickets if fits(ticket, filters, agent.user.user_id)]
    query = "&".join(f"{name}={','.join(map(str, values))}" for name, values in filters.items())

    with looking_at(most):
        assert walk(agent, f"/api/tickets?{query}&limit={limit}") == expected
        assert walk_back(agent, f"/api/tickets?{query}&limit={limit}") == expected
    page = agent.get(
        f"/api/tickets?{query}&limit={limit}&offset={offset}", headers={"Prefer": "count=exact"}
    )
    assert page.json == expected[offset : offset + limit]
    assert page.headers["X-Total-Count"] == str(len(expected))


@pytest.mark.parametrize(
    "path",
    [
        "/api/tickets?assigned_to=me,none&status=cerrado",
        "/api/tickets?assigned_to=me,none&status=cerrado&q=login",
        "/api/conversations?assigned_to=me,none&channel=email",
        "/api/conversations?assigned_to=none&channel=email",
    ],
)
def test_what_is_counted_of_nobody_meets_the_other_filters(agent: Caller, path: str) -> None:
    make_ticket()
    make_conversation(assigned_to=None)
    make_conversation(assigned_to=make_user("gone", active=False).user_id)

    answer = agent.get(path, headers={"Prefer": "count=exact"})

    assert (answer.json, answer.headers["X-Total-Count"]) == ([], "0")


@pytest.mark.parametrize("change", [{"due_at": "2020-05-01T12:00:00Z"}, {"status": "cerrado"}])
def test_a_ticket_is_found_by_a_time_that_it_gets_later(
    agent: Caller, change: dict[str, str]
) -> None:
    make_ticket(ticket_id=1, due_at=datetime(2019, 1, 1, tzinfo=UTC))
    make_ticket(ticket_id=5_000)

    agent.patch("/api/tickets/5000", json=change)

    found = [
        row["ticket_id"]
        for name in ("due", "resolved")
        for row in agent.get(f"/api/tickets?{name}_before=2199-01-01T00:00:00Z").json
    ]
    assert 5_000 in found


CONVERSATION_FILTERS: dict[str, list[Any]] = {
    "conversation_id": [1, 3, 4],
    "client_id": [1, 2],
    "channel": ["web", "whatsapp"],
    "external_chat_id": ["chat-0", "chat-5"],
    "active": [True, False],
    "handled_by_bot": [True, False],
}


@pytest.mark.parametrize("name", CONVERSATION_FILTERS)
def test_conversations_are_found_by_each_filter(agent: Caller, name: str) -> None:
    for n in range(6):
        make_conversation(
            client_id=make_client().client_id,
            channel=("web", "whatsapp", "email")[n % 3],
            external_chat_id=f"chat-{n}",
            active=n % 2 == 0,
            handled_by_bot=n < 2,
        )
    rows = agent.get("/api/conversations").json
    several = name.endswith("_id") and not name.startswith("external")

    for value in CONVERSATION_FILTERS[name]:
        found = agent.get(f"/api/conversations?{name}={str(value).lower()}").json
        assert found == [row for row in rows if row[name] == value] != []
    if several:
        values = CONVERSATION_FILTERS[name]
        query = f"{name}={','.join(map(str, values))}&limit=1"
        assert walk(agent, f"/api/conversations?{query}") == [
            row for row in rows if row[name] in values
        ]


EITHER = st.sampled_from([[True], [False]])


@pytest.fixture
def conversations(agent: Caller) -> list[dict[str, Any]]:
    """Sixteen conversations that differ in all they are found by; user 2 has left with some."""
    gone = make_user("gone", active=False)
    for _ in range(2):
        make_client()
    for n in range(16):
        made = make_conversation(
            client_id=1 + n % 2,
            channel=("web", "whatsapp")[n // 2 % 2],
            active=n % 3 > 0,
            handled_by_bot=n % 5 < 2,
            assigned_to=(None, agent.user.user_id, gone.user_id)[n % 3],
        )
        for _ in range(n % 3):
            make_message(made, sender="client" if n % 4 else "bot")
    rows: list[dict[str, Any]] = agent.get("/api/conversations?limit=200").json
    return rows


def finds(filters: dict[str, list[Any]], row: dict[str, Any]) -> bool:
    """Return whether a conversation meets the filters; nobody has what somebody left."""
    users: dict[Any, set[Any]] = {"me": {1}, "none": {None, 2}}
    shown = row | {"unread": row["unread_count"] > 0, "waiting": row["waiting_since"] is not None}
    return all(
        any(shown[name] in users.get(value, {value}) for value in values)
        for name, values in filters.items()
    )


@PROPERTY
@example(filters={"channel": ["web"], "assigned_to": ["me", "none"], "active": [True]}, limit=3)
@given(
    filters=st.fixed_dictionaries(
        {},
        optional={
            "client_id": some([1, 2, 3]),
            "channel": st.sampled_from([["web"], ["whatsapp"], ["email"]]),
            "assigned_to": some(["me", "none", 2]),
            **dict.fromkeys(("active", "handled_by_bot", "unread", "waiting"), EITHER),
        },
    ),
    limit=st.sampled_from([1, 3, 50]),
)
def test_conversations_are_found_by_any_filters_together(
    agent: Caller, conversations: list[dict[str, Any]], filters: dict[str, list[Any]], limit: int
) -> None:
    expected = [row for row in conversations if finds(filters, row)]
    query = "&".join(f"{name}={','.join(map(str, values))}" for name, values in filters.items())
    path = f"/api/conversations?{query.lower()}&limit={limit}"

    assert walk(agent, path) == expected
    assert walk_back(agent, path) == expected
    counted = agent.get(path, headers={"Prefer": "count=exact"}).headers["X-Total-Count"]
    assert counted == str(len(expected))


@PROPERTY
@given(
    order=st.sampled_from(["", "asc", "desc"]),
    senders=st.none() | some(SENDERS),
    after=st.none() | st.integers(1, 11),
    before=st.none() | st.integers(1, 11),
)
def test_messages_are_found_by_any_filters_in_either_order(
    agent: Caller, order: str, senders: list[str] | None, after: int | None, before: int | None
) -> None:
    conversation, other = make_conversation(), make_conversation()
    for n in range(9):
        make_message(conversation, sender=SENDERS[n % 3], content=str(n))
        make_message(other)
    path = f"/api/conversations/{conversation.conversation_id}/messages"
    rows = agent.get(f"{path}?limit=200").json
    first = rows[0]["message_id"] - 1
    query = {
        "order": order,
        "sender": ",".join(senders or ()),
        "after": after and first + after,
        "before": before and first + before,
    }

    found = agent.get(path, query_string={name: value for name, value in query.items() if value})

    expected = [
        row
        for row in rows
        if row["sender"] in (senders or SENDERS)
        and (after is None or row["message_id"] > first + after)
        and (before is None or row["message_id"] < first + before)
    ]
    assert found.json == expected[:: -1 if order == "desc" else 1]


def test_a_chat_is_followed_by_its_next_link(agent: Caller) -> None:
    conversation = make_conversation()
    make_message(conversation, content="one")
    path = f"/api/conversations/{conversation.conversation_id}/messages"
    first = agent.get(f"{path}?order=asc")
    assert agent.get(first.headers["Link"].split("<")[1].split(">")[0]).json == []
    make_message(conversation, content="two")

    following = agent.get(first.headers["Link"].split("<")[1].split(">")[0])

    assert [message["content"] for message in following.json] == ["two"]
    assert 'rel="next"' in following.headers["Link"]
    for plain in (path, f"{path}?order=desc"):
        assert "next" not in agent.get(plain).headers.get("Link", "")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"email": "ADA@Example.com"}, ["Ada"]),
        ({"email": "user@münchen.example"}, ["Jo"]),
        ({"email": "user@xn--mnchen-3ya.example"}, ["Jo"]),
        ({"email": "ada@example"}, []),
        ({"phone": "+57 601 555 0155"}, ["Ada"]),
        ({"phone": "0057-601-5550155"}, ["Ada"]),
        ({"phone": "6015550155"}, []),
        ({"phone": "none"}, ["Jo"]),
        ({"phone": "None", "email": "ada@example.com"}, []),
    ],
)
def test_clients_are_found_by_an_address_however_it_is_written(
    agent: Caller, query: dict[str, str], found: list[str]
) -> None:
    make_client(full_name="Ada", email="ada@example.com", phone="(+57) 601-555.0155")
    make_client(full_name="Jo", email="user@MÜNCHEN.example", phone="none")
    make_client(full_name="Nobody")

    rows = agent.get("/api/clients", query_string=query).json

    assert [row["full_name"] for row in rows] == found


@pytest.mark.parametrize(
    ("words", "found"), [("nunez", ["jn"]), ("JN", ["jn"]), ("jose example", ["jn"]), ("zzz", [])]
)
def test_users_are_found_by_words(agent: Caller, words: str, found: list[str]) -> None:
    make_user("jn", full_name="José Núñez")
    make_user("other", full_name="Somebody", email=None)

    rows = agent.get("/api/users", query_string={"q": words}).json

    assert [row["username"] for row in rows] == found


HOURS = st.integers(0, 9)


def hour(number: int) -> datetime:
    """Return the time after so many hours."""
    return datetime(2025, 11, 1, tzinfo=UTC) + timedelta(hours=number)


@PROPERTY
@example(spans=[[0, 4]], start=4, end=None, of=[], unit=1)
@given(
    spans=st.lists(st.tuples(HOURS, HOURS).map(sorted), max_size=6),
    start=st.none() | HOURS,
    end=st.none() | HOURS,
    of=st.sampled_from([[], [0], [1], [0, 1]]),
    unit=st.sampled_from([1, 4, 30, 200, 900]),
)
def test_events_are_found_that_have_any_moment_in_a_window(
    agent: Caller,
    spans: list[list[int]],
    start: int | None,
    end: int | None,
    of: list[int],
    unit: int,
) -> None:
    clients = [make_client().client_id, make_client().client_id]
    tickets = [make_ticket(number).ticket_id for number in clients]
    for n, (first, last) in enumerate(spans):
        make_event(
            title=f"{first}-{last} {n % 2}",
            start_time=hour(unit * first),
            end_time=hour(unit * last),
            ticket_id=tickets[n % 2],
        )
    query: dict[str, Any] = {"overlaps": "true"}
    query |= {} if start is None else {"start": hour(unit * start).isoformat()}
    query |= {} if end is None else {"end": hour(unit * end).isoformat()}
    query |= {"client_id": ",".join(str(clients[n]) for n in of)} if of else {}

    pages = f"/api/events?{urlencode(query)}&limit=2"
    forwards, backwards = ([row["title"] for row in f(agent, pages)] for f in (walk, walk_back))
    counted = agent.get(pages, headers={"Prefer": "count=exact"}).headers["X-Total-Count"]

    def has_a_moment(first: int, last: int) -> bool:
        moments = range(2 * first, max(2 * last, 2 * first + 1))  # half hours
        return any(
            (start is None or moment >= 2 * start) and (end is None or moment < 2 * end)
            for moment in moments
        )

    expected = [
        f"{first}-{last} {n % 2}"
        for n, (first, last) in sorted(enumerate(spans), key=lambda each: each[1][0])
        if has_a_moment(first, last) and (not of or n % 2 in of)
    ]
    db.session.execute(delete(Event))
    db.session.commit()
    assert forwards == backwards == expected
    assert counted == str(len(expected))


def test_an_event_that_is_made_longer_overlaps_what_comes_later(agent: Caller) -> None:
    event = agent.post(
        "/api/events",
        json={"title": "Call", "start_time": hour(0).isoformat(), "end_time": hour(1).isoformat()},
    )
    window = f"/api/events?{urlencode({'overlaps': 'true', 'start': hour(20).isoformat()})}"
    assert agent.get(window).json == []

    agent.patch(event.headers["Location"], json={"end_time": hour(30).isoformat()})

    assert [row["title"] for row in agent.get(window).json] == ["Call"]


def test_an_event_that_goes_on_for_long_overlaps(agent: Caller) -> None:
    make_event(start_time=hour(0), end_time=hour(0) + MAX_LENGTH, title="Long")
    make_event(start_time=hour(0) - MAX_LENGTH, end_time=hour(0), title="Over")

    rows = agent.get("/api/events?overlaps=true&start=2026-11-01T12:00:00Z").json
    later = agent.get("/api/events?overlaps=true&start=2026-11-02T00:00:00Z").json

    assert [row["title"] for row in rows] == ["Long"]
    assert later == []


def test_users_and_clients_are_found_by_their_ids(admin: Caller) -> None:
    for n in range(3):
        make_client()
        make_user(f"emp{n}")

    assert [row["client_id"] for row in admin.get("/api/clients?client_id=3,1").json] == [1, 3]
    assert [row["user_id"] for row in admin.get("/api/users?user_id=4,2&active=1").json] == [2, 4]
    assert len(admin.get("/api/users?role=admin,empleado").json) == 4


def test_at_most_100_values_are_looked_for(agent: Caller) -> None:
    ticket_id = make_ticket().ticket_id
    values = [str(n) for n in range(ticket_id, ticket_id + 101)]

    assert len(agent.get(f"/api/tickets?client_id={','.join(values[:100])}").json) <= 1
    assert [row["ticket_id"] for row in agent.get(f"/api/tickets?ticket_id={values[0]}").json] == [
        ticket_id
    ]
    refused = agent.get(f"/api/tickets?ticket_id={','.join(values)}")
    assert refused.json["errors"] == {"ticket_id": ["At most 100 values."]}
