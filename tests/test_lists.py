"""What all lists have in common: pages, their neighbours, and counts that are asked for."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from omnidesk.db import db, utcnow
from omnidesk.http import queries
from omnidesk.http.scans import WAYS, Way
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    Caller,
    make_channel,
    make_client,
    make_conversation,
    make_event,
    make_identity,
    make_message,
    make_ticket,
    make_user,
    on_sqlite,
    recorded_statements,
)

FAR = datetime(2199, 12, 31, tzinfo=UTC)

LISTS = [
    "/api/events",
    "/api/tickets",
    "/api/users",
    "/api/clients",
    "/api/clients/1/identities",
    "/api/conversations",
    "/api/conversations/1/messages",
    "/api/clients/1/timeline",
    "/api/channels",
]


def links(answer: Any) -> dict[str, str]:
    """Return the addresses in the Link header by their relation."""
    found = re.findall('<([^>]*)>; rel="([^"]*)"', answer.headers.get("Link", ""))
    return {rel: url for url, rel in found}


def ids(answer: Any) -> list[int]:
    """Return the ids of the tickets in an answer."""
    return [ticket["ticket_id"] for ticket in answer.json]


@pytest.fixture
def tickets(app: Any) -> list[int]:
    """Five tickets of one client's, newest first."""
    client_id = make_client().client_id
    return [make_ticket(client_id).ticket_id for _ in range(5)][::-1]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_a_bare_array(admin: Caller, path: str) -> None:
    make_message(make_conversation())

    answer = admin.get(path)

    assert answer.status_code == 200
    assert isinstance(answer.json, list)
    assert "Link" not in answer.headers
    assert "X-Total-Count" not in answer.headers


def test_fifty_rows_are_sent_unless_asked_otherwise(agent: Caller) -> None:
    client_id = make_client().client_id
    for _ in range(51):
        make_ticket(client_id)

    assert len(ids(agent.get("/api/tickets"))) == 50
    assert len(ids(agent.get("/api/tickets?limit=200"))) == 51


def test_a_page_leads_to_its_neighbours(agent: Caller, tickets: list[int]) -> None:
    first = agent.get("/api/tickets?limit=2&status=abierto")
    second = agent.get(links(first)["next"])
    third = agent.get(links(second)["next"])

    assert ids(first) + ids(second) + ids(third) == tickets
    assert set(links(first)) == {"next"}
    assert set(links(second)) == {"next", "prev"}
    assert set(links(third)) == {"prev"}
    assert "status=abierto" in links(first)["next"]
    assert agent.get(links(third)["prev"]).json == second.json
    assert agent.get(links(second)["prev"]).json == first.json
    assert "prev" not in links(agent.get(links(second)["prev"]))


def test_an_offset_leads_to_its_neighbours_too(agent: Caller, tickets: list[int]) -> None:
    middle = agent.get("/api/tickets?limit=2&offset=2")

    assert ids(middle) == tickets[2:4]
    assert ids(agent.get(links(middle)["next"])) == tickets[4:]
    assert ids(agent.get(links(middle)["prev"])) == tickets[:2]


def walk(caller: Caller, url: str, between: Callable[[], Any] = lambda: None) -> list[Any]:
    """Follow the links from a first page to the last and give all rows."""
    found = []
    for _ in range(100):
        answer = caller.get(url)
        found += answer.json
        url = links(answer).get("next", "")
        if not url:
            return found
        between()
    raise AssertionError(url)


def walk_back(caller: Caller, url: str, between: Callable[[], Any] = lambda: None) -> list[Any]:
    """Go to the last page, follow the links back to the first and give all rows."""
    while url:
        answer = caller.get(url)
        url = links(answer).get("next", "")
    found = answer.json
    while url := links(answer).get("prev", ""):
        between()
        answer = caller.get(url)
        found = answer.json + found
    return list(found)


# How many rows each way to find a page looks at; PostgreSQL has one way less.
MOST = st.lists(st.sampled_from([2, 3, 20]), min_size=5, max_size=5)


@contextmanager
def looking_at(most: list[int]) -> Iterator[None]:
    """Let the ways to find a page of a scan look at no more than so many rows each."""
    ways = {
        name: [
            Way(way.walked and number, way.candidates and most[-1 - n])
            for n, (way, number) in enumerate(zip(found, most, strict=False))
        ]
        for name, found in WAYS.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "WAYS", ways)
        yield


@pytest.mark.parametrize(
    ("path", "limit"),
    [*(("/api/events", limit) for limit in (1, 3, 50)), *((path, 2) for path in LISTS)],
)
def test_every_row_is_met_once_in_either_direction(admin: Caller, path: str, limit: int) -> None:
    moment = utcnow()
    conversation = make_conversation()
    for n in range(5):
        make_user(f"other{n}")
        make_ticket()
        make_event(title=str(n), start_time=moment + timedelta(seconds=n // 2), end_time=FAR)
        make_conversation(updated_at=moment + timedelta(microseconds=n // 2))
        make_message(conversation)
        make_identity(conversation, external_user_id=str(n))
        make_channel(channel=str(n))
    whole = admin.get(f"{path}?limit=200").json
    assert len(whole) >= 5

    assert walk(admin, f"{path}?limit={limit}") == whole
    assert walk_back(admin, f"{path}?limit={limit}") == whole


def test_rows_that_come_meanwhile_are_neither_skipped_nor_doubled(agent: Caller) -> None:
    client_id = make_client().client_id
    old = [make_ticket(client_id).ticket_id for _ in range(7)]

    newest_first = walk(agent, "/api/tickets?limit=2", lambda: make_ticket(client_id))
    make_client()
    oldest_first = walk(agent, "/api/clients?limit=1", make_a_few())

    assert [ticket["ticket_id"] for ticket in newest_first] == old[::-1]
    seen = [client["client_id"] for client in oldest_first]
    assert seen == sorted(set(seen))
    assert len(seen) == 5


def make_a_few() -> Callable[[], None]:
    """Return a function that makes three clients, one a call, and then no more."""
    names = iter(("one", "two", "three"))

    def make() -> None:
        if name := next(names, None):
            make_client(full_name=name)

    return make


def test_a_row_that_is_closed_meanwhile_moves_nothing(agent: Caller, tickets: list[int]) -> None:
    first = agent.get("/api/tickets?limit=2&status=abierto")
    db.session.get_one(Ticket, tickets[0]).move_to("cerrado")
    db.session.commit()

    assert ids(agent.get(links(first)["next"])) == tickets[2:4]


NO_CURSORS = (
    *("", "x", "a", "a0000006", "a000000064", "A00000064", "a80000000", "a0000006g"),
    *("c00000064", "a00000064\n", "a\0", "a" * 5000, "a2000000000000000000001", "1", "-1"),
)


@pytest.mark.parametrize("path", LISTS)
def test_every_list_refuses_what_is_no_cursor(admin: Caller, path: str) -> None:
    answer = admin.get(path, query_string={"cursor": "a0000006g"})

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["cursor"])


# The two kinds of cursors: a number, and a time and a number.
@on_sqlite
@pytest.mark.parametrize("path", ["/api/tickets", "/api/events"])
@pytest.mark.parametrize("cursor", NO_CURSORS)
def test_a_cursor_that_is_none_is_refused_by_name(agent: Caller, path: str, cursor: str) -> None:
    answer = agent.get(path, query_string={"cursor": cursor})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == ["cursor"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("direction", ["a", "b"])
@pytest.mark.parametrize("digit", ["0", "f"])
def test_a_cursor_at_either_end_is_followed(
    admin: Caller, path: str, direction: str, digit: str
) -> None:
    make_message(make_conversation())
    number, time = ("7" + 7 * "f", "1" + 13 * "f") if digit == "f" else (8 * "0", 14 * "0")
    by_time = path.endswith(("events", "conversations", "timeline"))
    kind = f"0000000{3 if digit == 'f' else 0}" if path.endswith("timeline") else ""
    cursor = direction + (time if by_time else "") + kind + number

    assert admin.get(f"{path}?cursor={cursor}").status_code == 200


def test_an_offset_counts_from_the_cursor(agent: Caller, tickets: list[int]) -> None:
    second = links(agent.get("/api/tickets?limit=1"))["next"]

    skipped = agent.get(f"{second}&offset=2")

    assert ids(skipped) == tickets[3:4]
    assert ids(agent.get(links(skipped)["next"])) == tickets[4:]
    assert ids(agent.get(links(skipped)["prev"])) == tickets[2:3]


def test_other_parameters_are_kept_as_they_were_given(agent: Caller) -> None:
    query = "start=2025-11-01T00:00:00%2B02:00&offset=1"

    prev = links(agent.get(f"/api/events?{query}"))["prev"]

    assert agent.get(prev).status_code == 200
    assert "start=2025-11-01T00:00:00%2B02:00" in prev.replace("%3A", ":")


def test_a_nested_list_leads_on_too(agent: Caller) -> None:
    conversation = make_conversation()
    sent = [make_message(conversation).message_id for _ in range(2)]

    first = agent.get(f"/api/conversations/{conversation.conversation_id}/messages?limit=1")
    second = agent.get(links(first)["next"])

    assert [first.json[0]["message_id"], second.json[0]["message_id"]] == sent


def test_the_total_is_counted_when_it_is_asked_for(agent: Caller, tickets: list[int]) -> None:
    make_ticket(status="cerrado")
    count = {"Prefer": "count=exact"}

    answer = agent.get("/api/tickets?limit=2&status=abierto", headers=count)

    assert answer.headers["X-Total-Count"] == "5"
    assert answer.headers["Preference-Applied"] == "count=exact"
    past_the_end = agent.get("/api/tickets?offset=1000", headers=count)
    assert past_the_end.json == []
    assert past_the_end.headers["X-Total-Count"] == "6"


@pytest.mark.parametrize("prefer", ["", "count", "count=planned", "=", ",;=", "\xff", '"'])
def test_any_other_preference_is_ignored(agent: Caller, prefer: str) -> None:
    answer = agent.get("/api/tickets", headers={"Prefer": prefer})

    assert answer.status_code == 200
    assert "X-Total-Count" not in answer.headers


@on_sqlite
@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("offset", "-1"), ("page", "2")])
def test_every_list_refuses_a_page_with_a_fault(
    admin: Caller, path: str, name: str, value: str
) -> None:
    answer = admin.get(f"{path}?{name}={value}")

    assert (answer.status_code, list(answer.json["errors"])) == (400, [name])


@on_sqlite
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", ""),
        ("limit", "x"),
        ("limit", "1e2"),
        ("limit", "+5"),
        ("limit", "5.0"),
        ("limit", "1&limit=2"),
        ("offset", "-1"),
        ("offset", "9223372036854775808"),
        ("offset", "9" * 30),
        ("offset", "1&offset=1"),
        ("page", "2"),
    ],
)
def test_a_page_with_a_fault_is_refused_by_name(agent: Caller, name: str, value: str) -> None:
    answer = agent.get(f"/api/tickets?{name}={value}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [name]


@pytest.mark.parametrize("offset", [10**12, 2**53 - 1])
def test_a_page_far_past_the_end_is_empty(agent: Caller, offset: int) -> None:
    assert agent.get(f"/api/tickets?offset={offset}").json == []


@pytest.mark.parametrize("path", ["/api/tickets?cursor=a00000000", "/api/clients?cursor=a7fffffff"])
def test_a_page_beyond_all_ids_leads_back(agent: Caller, path: str) -> None:
    make_ticket()

    back = agent.get(links(agent.get(path))["prev"])

    assert (back.status_code, len(back.json)) == (200, 1)


def test_old_rows_keep_their_order_while_new_ones_come(agent: Caller) -> None:
    old = [make_client().client_id for _ in range(6)]
    seen = []

    for offset in (0, 2, 4):
        seen += [c["client_id"] for c in agent.get(f"/api/clients?limit=2&offset={offset}").json]
        make_client()

    assert seen == old


def test_a_misspelt_parameter_is_told_the_right_one(agent: Caller) -> None:
    errors = agent.get("/api/tickets?stauts=abierto").json["errors"]

    assert errors == {"stauts": ["Unknown parameter. Did you mean 'status'?"]}


@pytest.mark.parametrize(
    ("query", "messages"),
    [
        (
            "users?xyz=1&zyx=1",
            ["Unknown parameter. Must be one of: limit, offset, cursor, user_id, "],
        ),
        ("users?role=boss", ["Must be one of: admin, empleado."]),
        ("tickets?include=clients", ["Must be one of: client, assignee, etag, match."]),
        ("clients?include=client", ["Must be one of: etag."]),
        ("clients?include=", ["Must be one of: etag."]),
        ("clients?include=etag,etag", ["Too many: at most 1."]),
        ("tickets?assigned_to=you", ["Not a valid integer.", "Or one of: me, none."]),
        ("tickets?client_id=me", ["Not a valid integer."]),
        ("clients?active=yes", ["Must be one of: true, 1, false, 0."]),
        ("tickets?cursor=zzz", ["Not a cursor: take it from a Link header."]),
        ("users?cursor=a", ["Not a cursor: take it from a Link header."]),
        ("search?q=x&limit=5", ["Unknown parameter. Must be one of: q."]),
        ("changes?after=last", ["Not a valid integer.", "Or one of: latest."]),
        ("tickets/100?include=client", ["Unknown parameter. None is taken here."]),
        ("events?overlaps=", ["Must be one of: true, 1, false, 0."]),
    ],
)
def test_a_parameter_with_a_fault_is_told_what_is_allowed(
    agent: Caller, query: str, messages: list[str]
) -> None:
    answer = agent.get(f"/api/{query}")

    assert answer.status_code == 400
    found = next(iter(answer.json["errors"].values()))
    assert [text[: len(message)] for text, message in zip(found, messages, strict=True)] == messages


@pytest.mark.parametrize("path", LISTS)
def test_a_list_that_the_client_has_is_304_until_any_such_row_changes(
    admin: Caller, path: str
) -> None:
    conversation = make_conversation()
    make_message(conversation, sender="user")
    make_ticket()
    make_event()
    had = {"If-None-Match": admin.get(path).headers["ETag"]}

    assert admin.get(path, headers=had).status_code == 304
    assert (
        admin.get(path, headers={"If-None-Match": f'"x", {had["If-None-Match"]}'}).status_code
        == 304
    )
    assert admin.get(path, headers={"If-None-Match": '"x"'}).status_code == 200

    make_message(conversation, sender="user")
    make_ticket()
    make_event()
    make_user("new")
    make_identity(conversation)
    make_channel()
    new = admin.get(path, headers=had)
    assert new.status_code == 200
    assert new.headers["ETag"] != had["If-None-Match"]


def test_a_304_runs_no_statement_of_the_list(agent: Caller) -> None:
    had = {"If-None-Match": agent.get("/api/tickets").headers["ETag"]}

    with recorded_statements() as run:
        agent.get("/api/tickets", headers=had)

    assert not [statement for statement in run if "FROM ticket" in statement]
    assert len(run) == 2


@pytest.mark.parametrize(
    ("path", "moved"),
    [
        ("/api/events?client_id=1", "/api/tickets/1"),
        ("/api/messages?q=hello&client_id=1", "/api/conversations/1"),
    ],
)
def test_a_list_whose_rows_are_found_by_others_changes_with_these(
    agent: Caller, path: str, moved: str
) -> None:
    make_client()
    make_client()
    make_event(ticket_id=make_ticket(1).ticket_id)
    make_message(make_conversation(client_id=1))
    had = {"If-None-Match": agent.get(path).headers["ETag"]}
    assert agent.get(path, headers=had).status_code == 304

    agent.patch(moved, json={"client_id": 2})

    answer = agent.get(path, headers=had)
    assert (answer.status_code, answer.json) == (200, [])
