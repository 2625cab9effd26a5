"""What happened with a client, in one list: the rows as elsewhere, each once, newest first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    save,
)
from tests.security.test_api_tokens import make
from tests.test_lists import links, walk, walk_back

PATH = "/api/clients/1/timeline"
NOON = datetime(2025, 11, 1, 12, tzinfo=UTC)
KINDS = ["ticket", "comment", "message", "event"]
LISTS = {
    "ticket": "/api/tickets/{ticket_id}",
    "comment": "/api/comments/{comment_id}",
    "message": "/api/conversations/{conversation_id}/messages/{message_id}",
    "event": "/api/events/{event_id}",
}


def minute(number: int) -> datetime:
    """Return a time; some are the same."""
    return NOON + timedelta(minutes=number * 7 % 5)


@pytest.fixture
def rows(agent: Caller) -> None:
    """Two clients with rows of each kind, at times that are not those of their ids."""
    for client_id in (1, 2):
        make_client()
        for number in range(3):
            ticket = make_ticket(client_id, created_at=minute(number))
            chat = make_conversation(client_id=client_id)
            event = {"start_time": minute(number + 1), "end_time": minute(9) + timedelta(hours=1)}
            for other in range(3):
                comment = {"ticket_id": ticket.ticket_id, "user_id": agent.user.user_id}
                make_comment(**comment, created_at=minute(other + number))
                message = chat.receive(sender="client", content="Hello")
                message.created_at = minute(2 * other + number)
                save(message)
            make_event(**event, ticket_id=ticket.ticket_id)
    make_event()


def position(entry: Any) -> Any:
    """Return what an entry is ordered by."""
    kind = entry["kind"]
    return entry["at"], KINDS.index(kind), entry[kind][f"{kind}_id"]


@pytest.mark.usefixtures("rows")
def test_a_timeline_has_all_rows_of_a_client_newest_first(agent: Caller) -> None:
    answer = agent.get(f"{PATH}?limit=200", headers={"Prefer": "count=exact"})

    assert len(answer.json) == 3 + 9 + 9 + 3
    assert answer.headers["X-Total-Count"] == "24"
    assert answer.json == sorted(answer.json, key=position, reverse=True)
    assert len(set(map(position, answer.json))) == 24
    tickets = {row["ticket_id"] for row in agent.get("/api/tickets?client_id=1").json}
    entries = [entry[entry["kind"]] for entry in answer.json]
    assert {row.get("ticket_id") for row in entries} == {*tickets, None}


@pytest.mark.usefixtures("rows")
def test_an_entry_shows_its_row_as_it_is_shown_elsewhere(agent: Caller) -> None:
    for entry in agent.get(PATH).json:
        kind = entry["kind"]
        row = agent.get(LISTS[kind].format(**entry[kind])).json

        at = row["start_time" if kind == "event" else "created_at"]
        assert entry == {"at": at, "kind": kind, kind: row}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("limit", [1, 2, 5, 23])
def test_each_entry_is_met_once_in_either_direction(agent: Caller, limit: int) -> None:
    whole = agent.get(PATH).json

    assert walk(agent, f"{PATH}?limit={limit}") == whole
    assert walk_back(agent, f"{PATH}?limit={limit}") == whole
    assert agent.get(f"{PATH}?limit={limit}&offset=3").json == whole[3 : 3 + limit]


@pytest.mark.usefixtures("rows")
def test_what_happens_meanwhile_changes_no_later_page(agent: Caller) -> None:
    whole = agent.get(PATH).json
    first = agent.get(f"{PATH}?limit=5")

    make_message(make_conversation(client_id=1))
    second = agent.get(links(first)["next"])

    assert first.json + second.json == whole[:10]


@pytest.mark.usefixtures("rows")
def test_a_row_moves_to_the_timeline_of_another_client(agent: Caller) -> None:
    before = [len(agent.get(f"/api/clients/{n}/timeline").json) for n in (1, 2)]
    etag = {"If-None-Match": agent.get(PATH).headers["ETag"]}
    assert agent.get(PATH, headers=etag).status_code == 304

    agent.patch("/api/conversations/1", json={"client_id": 2})

    changed = agent.get(PATH, headers=etag)
    after = [len(agent.get(f"/api/clients/{n}/timeline").json) for n in (1, 2)]
    assert changed.status_code == 200
    assert after == [before[0] - 3, before[1] + 3]


def rows_of(caller: Caller, client_id: int) -> set[tuple[str, int]]:
    """Return the kinds and ids of a client's rows, as the lists of each kind show them."""
    lists = {
        "ticket": [f"tickets?client_id={client_id}"],
        "message": [
            f"conversations/{chat['conversation_id']}/messages"
            for chat in caller.get(f"/api/conversations?client_id={client_id}").json
        ],
    }
    tickets = [row["ticket_id"] for row in caller.get(f"/api/{lists['ticket'][0]}").json]
    lists["comment"] = [f"tickets/{ticket_id}/comments" for ticket_id in tickets]
    lists["event"] = [f"events?ticket_id={ticket_id}" for ticket_id in tickets]
    return {
        (kind, row[f"{kind}_id"])
        for kind, paths in lists.items()
        for path in paths
        for row in caller.get(f"/api/{path}").json
    }


MOVES: dict[str, tuple[str, str, Any]] = {
    "a ticket": ("patch", "tickets/1", {"client_id": 2}),
    "several tickets": ("patch", "tickets", {"ticket_ids": [3, 1], "set": {"client_id": 2}}),
    "a merged client": ("post", "clients/1/merge", {"into": 2}),
    "an event": ("patch", "events/1", {"ticket_id": 4}),
    "an event that leaves its ticket": ("patch", "events/1", {"ticket_id": None}),
    "an event that had no ticket": ("patch", "events/7", {"ticket_id": 4}),
}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("what", MOVES)
def test_what_moves_is_on_the_timeline_of_its_client(admin: Caller, what: str) -> None:
    before = [rows_of(admin, client_id) for client_id in (1, 2)]
    method, path, body = MOVES[what]

    answer = getattr(admin, method)(f"/api/{path}", json=body)

    after = [rows_of(admin, client_id) for client_id in (1, 2)]
    assert (answer.status_code, after != before) == (200, True)
    for client_id, rows in zip((1, 2), after, strict=True):
        entries = admin.get(f"/api/clients/{client_id}/timeline").json
        events = admin.get(f"/api/events?client_id={client_id}").json
        assert {
            (each["kind"], each[each["kind"]][f"{each['kind']}_id"]) for each in entries
        } == rows
        assert {("event", each["event_id"]) for each in events} == {
            row for row in rows if row[0] == "event"
        }


@pytest.mark.usefixtures("rows")
def test_comments_and_events_that_go_with_their_ticket_are_not_changed(agent: Caller) -> None:
    paths = ["/api/comments/1", "/api/events/1"]
    before = [agent.get(path).headers["ETag"] for path in paths]
    changes = agent.get("/api/changes?entity=comment,event").json

    agent.patch("/api/tickets/1", json={"client_id": 2})

    assert [agent.get(path).headers["ETag"] for path in paths] == before
    assert agent.get("/api/changes?entity=comment,event").json == changes


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("scopes", "kinds"),
    [
        ([], {"ticket"}),
        (["comments:read"], {"ticket", "comment"}),
        (["conversations:read", "events:read"], {"ticket", "message", "event"}),
    ],
)
def test_a_token_sees_the_kinds_that_it_may_read(
    agent: Caller, scopes: list[str], kinds: set[str]
) -> None:
    bot = make(agent, "clients:read", "tickets:read", *scopes)

    answer = bot.get(PATH, headers={"Prefer": "count=exact"})

    assert {entry["kind"] for entry in answer.json} == kinds
    assert answer.headers["X-Total-Count"] == str(len(answer.json))


def test_a_timeline_of_nobody_is_404_and_of_nothing_is_empty(agent: Caller) -> None:
    make_client()

    assert agent.get(PATH).json == []
    assert agent.get("/api/clients/424242/timeline").status_code == 404


@pytest.mark.parametrize("query", ["cursor=a0000000700000001", "cursor=x", "limit=0", "kind=event"])
def test_a_query_with_a_fault_is_refused_by_name(agent: Caller, query: str) -> None:
    make_client()

    answer = agent.get(f"{PATH}?{query}")

    assert (answer.status_code, list(answer.json["errors"])) == (400, [query.partition("=")[0]])


@pytest.mark.usefixtures("rows")
def test_a_timeline_is_a_file_with_the_columns_of_all_kinds(agent: Caller) -> None:
    answer = agent.get(PATH, headers={"Accept": "text/csv"})

    header, *lines = answer.text.splitlines()
    assert len(lines) == len(agent.get(PATH).json)
    assert header.startswith("at,kind,ticket.ticket_id,")
    assert {"comment.body", "message.content", "event.title"} <= set(header.split(","))
