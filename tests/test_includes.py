"""Related rows in a list: `include` shows them in the same request, to whoever may read them."""

from typing import Any

import pytest

from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    make_user,
    recorded_statements,
)

CLIENT = {
    "client_id": 1,
    "full_name": "Ada Lovelace",
    "email": "ada@example.com",
    "phone": None,
    "active": True,
}
USER = {"user_id": 2, "username": "emp2", "full_name": "Somebody", "active": True}
TICKET = {
    "ticket_id": 1,
    "client_id": 1,
    "subject": "Cannot login",
    "priority": "media",
    "status": "abierto",
}
MESSAGE = {"message_id": 2, "sender": "bot", "content": "How can I help?"}
INCLUDED = {
    "/api/tickets": {"client": CLIENT, "assignee": USER},
    "/api/events": {"ticket": TICKET, "creator": USER},
    "/api/tickets/1/comments": {"user": USER},
    "/api/conversations": {"client": CLIENT, "assignee": USER, "last_message": MESSAGE},
}
PAIRS = [(path, name) for path, names in INCLUDED.items() for name in names]
# What the row that other rows are included in is read with, and what they are read with.
SCOPES = {
    "client": "clients:read",
    "assignee": "users:read",
    "ticket": "tickets:read",
    "creator": "users:read",
    "user": "users:read",
    "last_message": "conversations:read",
}


@pytest.fixture
def desk(agent: Caller) -> None:
    """A row of each kind, with all that it can refer to; and one with as little as can be."""
    client_id = make_client(email="ada@example.com").client_id
    user_id = make_user("emp2").user_id
    ticket_id = make_ticket(client_id, assigned_to=user_id).ticket_id
    make_event(ticket_id=ticket_id, created_by=user_id)
    make_comment(ticket_id=ticket_id, user_id=user_id)
    conversation = make_conversation(client_id=client_id, assigned_to=user_id)
    make_message(conversation)
    make_message(conversation, sender="bot", content="How can I help?")
    make_ticket(client_id)
    make_event()
    make_conversation(client_id=client_id)


def row_of(caller: Caller, path: str, **filters: Any) -> Any:
    """Return the row of a list that has references."""
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    rows = caller.get(f"{path}?{query}").json
    return next(row for row in rows if row[next(iter(row))] == 1)


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("path", INCLUDED)
def test_a_list_shows_the_rows_that_its_rows_refer_to(agent: Caller, path: str) -> None:
    plain, included = row_of(agent, path), INCLUDED[path]

    with recorded_statements() as run:
        shown = row_of(agent, path, include=",".join(included))

    assert [*shown] == [*plain, *included]
    assert {name: shown[name] for name in plain} == plain
    for name, row in included.items():
        assert {key: shown[name][key] for key in row} == row
    assert len(run) == 2, "the session's, and the list's"


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/tickets", "assignee"),
        ("/api/events", "ticket"),
        ("/api/events", "creator"),
        ("/api/conversations", "last_message"),
    ],
)
def test_a_reference_to_no_row_shows_null(agent: Caller, path: str, name: str) -> None:
    rows = agent.get(f"{path}?include={name}").json

    assert sorted(row[name] is None for row in rows) == [False, True]


@pytest.mark.usefixtures("desk")
def test_names_are_shown_in_one_order_and_alone(agent: Caller) -> None:
    both = agent.get("/api/tickets?include=assignee,client").json
    one = agent.get("/api/tickets?include=assignee").json

    assert [*both[0]][-2:] == ["client", "assignee"]
    assert "client" not in one[0]


@pytest.mark.usefixtures("desk")
def test_the_next_page_includes_the_same(agent: Caller) -> None:
    answer = agent.get("/api/tickets?include=client&limit=1")

    assert "include=client" in answer.headers["Link"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(("path", "name"), PAIRS)
def test_an_api_token_needs_the_scope_of_what_it_includes(
    agent: Caller, path: str, name: str
) -> None:
    own = "comments:read" if "comments" in path else f"{path.removeprefix('/api/')}:read"
    body = {"name": "Bot", "scopes": [own], "password": PASSWORD}
    token = agent.post("/api/tokens", json=body).json["token"]
    bot = Caller(agent.app)
    bot.headers["Authorization"] = f"Bearer {token}"

    answer = bot.get(f"{path}?include={name}")

    assert bot.get(path).status_code == 200
    if SCOPES[name] == own:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 403
        assert f'scope="{SCOPES[name]}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("reads", "query", "status"),
    [
        (["tickets"], "include=client", 401),
        (["tickets", "clients"], "include=client", 200),
        (["tickets", "clients"], "include=client,assignee", 401),
        (["tickets"], "assigned_to=me", 401),
        (["tickets"], "assigned_to=1,me", 401),
    ],
)
def test_a_public_list_shows_strangers_nothing_that_is_not_public(
    app_with: Any, reads: list[str], query: str, status: int
) -> None:
    stranger = Caller(app_with(PUBLIC_READS=reads))

    assert stranger.get(f"/api/tickets?{query}").status_code == status


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/api/tickets?include=client", "/api/clients/1"),
        ("/api/conversations?include=client", "/api/clients/1"),
        ("/api/conversations?include=assignee", "/api/users/2"),
        ("/api/conversations/1/messages?include=user", "/api/users/2"),
        ("/api/tickets?include=assignee", "/api/users/2"),
        ("/api/events?include=creator", "/api/users/2"),
        ("/api/tickets/1/comments?include=user", "/api/users/2"),
    ],
)
def test_a_renamed_row_changes_the_tag_of_what_includes_it(
    admin: Caller, path: str, change: str
) -> None:
    plain = path.partition("?")[0]
    before, plain_before = admin.get(path), admin.get(plain)
    known = {"If-None-Match": before.headers["ETag"]}
    assert admin.get(path, headers=known).status_code == 304

    assert admin.patch(change, json={"full_name": "Augusta"}).status_code == 200

    assert admin.get(path, headers=known).status_code == 200
    assert before.headers["ETag"] != plain_before.headers["ETag"]
    assert admin.get(plain).headers["ETag"] == plain_before.headers["ETag"]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("path", ["tickets", "events", "clients", "users", "conversations"])
def test_a_list_has_the_tags_with_which_its_rows_can_be_changed(admin: Caller, path: str) -> None:
    row = row_of(admin, f"/api/{path}", include="etag")
    own = f"/api/{path}/1"
    body = {
        "tickets": {"status": "cerrado"},
        "events": {"title": "Moved"},
        "clients": {"active": False},
        "users": {"full_name": "Else"},
        "conversations": {"active": False},
    }[path]

    assert row["etag"] == admin.get(own).headers["ETag"]
    changed = admin.patch(own, json=body, headers={"If-Match": row["etag"]})
    assert changed.status_code == 200
    assert row_of(admin, f"/api/{path}", include="etag")["etag"] == changed.headers["ETag"]
    assert admin.patch(own, json=body, headers={"If-Match": row["etag"]}).status_code == 412


def test_a_new_message_changes_the_tag_of_the_conversations_that_include_it(agent: Caller) -> None:
    conversation = make_conversation()
    path = "/api/conversations?include=last_message"
    before = agent.get(path)

    make_message(conversation, content="First")

    after = agent.get(path, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.json[0]["last_message"]["content"] == "First"
