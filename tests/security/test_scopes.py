"""What an API token reads: no more than its scopes for reading, whatever else it may do."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from flask import Flask

from omnidesk.auth.models import READ_SCOPES, SCOPES
from omnidesk.db.change_log import ENTITIES
from tests.conftest import (
    Caller,
    make_channel,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_identity,
    make_message,
    make_ticket,
)
from tests.security.conftest import EVENT, TICKET
from tests.security.test_api_tokens import make

SECRET = "s3cret"
CONVERSATION = "/api/conversations/1"
MESSAGES = f"{CONVERSATION}/messages"
IDENTITY = {"channel": "web", "external_user_id": "x"}


class Write(NamedTuple):
    """A request that writes, the scope that it needs, and the status without the one to read."""

    scope: str
    method: str
    path: str
    body: Any
    status: int = 204


WRITES = (
    Write("tickets:write", "POST", "/api/tickets", TICKET, 201),
    Write("tickets:write", "PATCH", "/api/tickets/1", {}),
    Write("tickets:write", "PATCH", "/api/tickets/1", {"priority": "alta"}),
    Write("tickets:write", "PATCH", "/api/tickets", {"ticket_ids": [1], "set": {}}),
    Write("tickets:write", "POST", "/api/conversations/1/ticket", {"subject": "Help"}, 201),
    Write("tickets:write", "POST", "/api/tickets/next", None),
    Write("tickets:write", "PUT", "/api/tickets/1/tags/vip", None),
    Write("tickets:write", "DELETE", "/api/tickets/1/tags/vip", None),
    Write("clients:write", "POST", "/api/clients", {"full_name": "Ada"}, 201),
    Write("clients:write", "PATCH", "/api/clients/1", {}),
    Write("clients:write", "POST", "/api/clients/1/merge", {"into": 2}),
    Write("clients:write", "POST", "/api/clients/2/erase", {"full_name": "Ada Lovelace"}),
    Write("clients:write", "DELETE", "/api/clients/2", None),
    Write("clients:write", "POST", "/api/clients/1/identities", IDENTITY, 201),
    Write("clients:write", "DELETE", "/api/clients/1/identities/1", None),
    Write("events:write", "POST", "/api/events", EVENT, 201),
    Write("events:write", "PATCH", "/api/events/1", {}),
    Write("events:write", "DELETE", "/api/events/1", None),
    Write("comments:write", "POST", "/api/tickets/1/comments", {"body": "Hello"}, 201),
    Write("comments:write", "PATCH", "/api/comments/1", {}),
    Write("comments:write", "DELETE", "/api/comments/1", None),
    Write(
        "conversations:write", "POST", "/api/conversations", {"client_id": 1, "channel": "x"}, 201
    ),
    Write("conversations:write", "PATCH", "/api/conversations/1", {}),
    Write("conversations:write", "POST", f"{CONVERSATION}/read", {"up_to_message_id": 1}),
    Write("conversations:write", "POST", f"{CONVERSATION}/unread", {}),
    Write("conversations:write", "POST", f"{CONVERSATION}/takeover", None),
    Write("conversations:write", "POST", f"{CONVERSATION}/return", None),
    Write("messages:write", "POST", MESSAGES, {"content": "Hello"}, 201),
    Write("messages:write", "POST", MESSAGES, {"content": "x", "external_message_id": "known"}),
    Write("messages:write", "POST", f"{MESSAGES}/2/retry", None),
)


@pytest.fixture
def rows(admin: Caller) -> None:
    """A row of each kind, numbered 1, which holds what a token must not read."""
    client = make_client(full_name=SECRET)
    client_id = client.client_id
    make_client()
    make_identity(client, external_user_id=SECRET)
    make_ticket(client_id, subject=SECRET, description=SECRET)
    make_event(title=SECRET, created_by=admin.user.user_id)
    make_comment(ticket_id=1, user_id=admin.user.user_id, body=SECRET)
    conversation = make_conversation(client_id=client_id, external_chat_id=SECRET)
    make_message(conversation, content=SECRET, external_message_id="known")
    make_channel("telegram", channel=conversation.channel)
    make_message(conversation, sender="user", delivery_state="queued")


def send(caller: Caller, write: Write, **headers: str) -> Any:
    """Return the response to a write."""
    body = {} if write.body is None else {"json": write.body}
    return getattr(caller, write.method.lower())(write.path, headers=headers, **body)


def read_scope(write: Write) -> str:
    """Return the scope that reads what a write writes."""
    return write.scope.replace("messages", "conversations").replace(":write", ":read")


def test_every_write_of_an_api_token_is_here(admin: Caller) -> None:
    paths = admin.get("/api/openapi.json").json["paths"]
    documented = {
        (method.upper(), re.sub("{.*?}", "*", path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if method != "parameters" and ":write`" in operation.get("description", "")
    }

    assert documented == {
        (write.method, re.sub("/[0-9]+|(?<=tags)/vip", "/*", write.path)) for write in WRITES
    }


@pytest.mark.parametrize("write", WRITES, ids=str)
def test_what_a_token_gets_that_may_only_write_is_documented(admin: Caller, write: Write) -> None:
    shape = re.sub("/[0-9]+|(?<=tags)/vip", "/*", write.path)
    paths = admin.get("/api/openapi.json").json["paths"]
    (item,) = (item for path, item in paths.items() if re.sub("{.*?}", "*", path) == shape)
    operation = item[write.method.lower()]

    told = operation["description"]
    assert str(write.status) in operation["responses"] or f"{write.status} instead of 200" in told
    for status, hidden in (
        (200, "204 instead of 200"),
        (201, "`Location` alone"),
        (412, "412 without `current`"),
    ):
        assert (hidden in told) == (str(status) in operation["responses"])


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("write", WRITES, ids=str)
def test_a_write_shows_nothing_to_a_token_that_may_only_write(admin: Caller, write: Write) -> None:
    answer = send(make(admin, write.scope), write)

    assert (answer.status_code, answer.data) == (write.status, b"")
    assert "ETag" not in answer.headers
    assert ("Location" in answer.headers) == (write.status == 201)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("write", WRITES, ids=str)
def test_a_write_shows_the_row_to_a_token_that_may_read_it(admin: Caller, write: Write) -> None:
    answer = send(make(admin, write.scope, read_scope(write)), write)

    shown = write.method != "DELETE" or "/tags/" in write.path
    assert bool(answer.data) == shown
    assert answer.status_code == (204 if not shown else 201 if write.status == 201 else 200)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "write", [each for each in WRITES if "/1" in each.path and each.status == 204], ids=str
)
def test_a_failed_precondition_shows_the_row_to_those_who_may_read_it(
    admin: Caller, write: Write
) -> None:
    if write.method == "POST":
        return
    writer, reader = make(admin, write.scope), make(admin, write.scope, read_scope(write))

    answers = [send(bot, write, **{"If-Match": '"424242"'}) for bot in (writer, reader)]

    assert [answer.status_code for answer in answers] == [412, 412]
    assert answers[0].json == {"detail": "Precondition Failed"}
    assert SECRET in answers[1].text


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("write", [each for each in WRITES if each.status == 201], ids=str)
def test_a_replay_shows_the_row_to_those_who_may_read_it(admin: Caller, write: Write) -> None:
    writer, reader = make(admin, write.scope), make(admin, write.scope, read_scope(write))

    first, hidden, shown = (
        send(bot, write, **{"Idempotency-Key": "k"}) for bot in (writer, writer, reader)
    )

    assert [answer.status_code for answer in (first, hidden, shown)] == [201] * 3
    assert (first.data, hidden.data) == (b"", b"")
    assert hidden.headers["Idempotent-Replayed"] == "true"
    assert shown.json == admin.get(first.headers["Location"]).json


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tickets/1", {"comment": "Hello"}),
        ("/api/tickets", {"ticket_ids": [1], "set": {"comment": "Hello"}}),
    ],
)
def test_a_change_with_a_comment_takes_the_scope_of_comments_too(
    admin: Caller, path: str, body: Any
) -> None:
    writer, commenter = make(admin, "tickets:write"), make(admin, "tickets:write", "comments:write")

    refused, done = (bot.patch(path, json=body) for bot in (writer, commenter))

    assert (refused.status_code, done.status_code) == (403, 204)
    told = 'Bearer error="insufficient_scope", scope="comments:write"'
    assert refused.headers["WWW-Authenticate"] == told
    assert len(admin.get("/api/tickets/1/comments").json) == 2


def entities(caller: Caller, query: str = "") -> set[str]:
    """Return the entities in the change log as a caller sees it."""
    return {change["entity"] for change in caller.get(f"/api/changes?limit=200{query}").json}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("scope", [scope for scope in SCOPES if scope != "changes:read"])
def test_the_change_log_shows_what_the_token_may_read(
    admin: Caller, agent: Caller, scope: str
) -> None:
    readable = {entity for entity, each in READ_SCOPES.items() if each == scope}

    assert entities(make(admin, "changes:read", scope)) == readable
    assert all(
        entities(make(admin, "changes:read", scope), f"&entity={entity}") == {entity} & readable
        for entity in ENTITIES
    )
    every = make(admin, "changes:read", scope)
    for query in (f"&entity={','.join(ENTITIES)}", "&since=2025-01-01T00:00:00Z", "&actor=me"):
        assert entities(every, query) <= readable, query
    if scope != "messages:relay":
        assert entities(make(agent, "changes:read", scope)) == readable - {"user"}


@pytest.mark.usefixtures("rows")
def test_the_change_log_shows_people_all_but_users(admin: Caller, agent: Caller) -> None:
    assert entities(admin) == {*ENTITIES}
    assert entities(agent) == {*ENTITIES} - {"user"}
    assert entities(make(admin, "changes:read")) == set()
    assert entities(make(admin, "changes:read"), "&actor=me") == set()
    assert make(admin, "changes:read").get("/api/changes").headers["Link"], "it goes on"


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("path", ["tickets", "events", "clients", "conversations", "users"])
def test_a_history_takes_the_scope_of_its_rows_too(admin: Caller, path: str) -> None:
    other = "clients" if path != "clients" else "events"
    callers = [
        make(admin, "changes:read"),
        make(admin, f"{path}:read"),
        make(admin, "changes:read", f"{other}:read"),
        make(admin, "changes:read", f"{path}:read"),
    ]

    answers = [caller.get(f"/api/{path}/1/history") for caller in callers]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 200]
    told = answers[0].headers["WWW-Authenticate"]
    assert told == f'Bearer error="insufficient_scope", scope="changes:read {path}:read"'


NO_FILTERS = {"limit", "offset", "cursor", "include", "sort", "order", "wait", "q"}
# Filters by fields of the rows whose names are others.
OF_FIELDS = {"start", "end", "overlaps", "unread", "waiting", "overdue", "tag", "after", "before"}


def test_filters_are_by_what_the_rows_show_but_for_these(admin: Caller) -> None:
    document = admin.get("/api/openapi.json").json
    others = set()
    for path, operations in document["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("type") != "array" or path == "/api/changes":
            continue
        row = document["components"]["schemas"][schema["items"]["$ref"].rpartition("/")[2]]
        parameters = (each for each in operations["get"]["parameters"] if each.get("in") == "query")
        names = {each["name"] for each in parameters} - NO_FILTERS - OF_FIELDS
        shown = {*row["properties"]}
        others |= {
            (path, name) for name in names if re.sub("_(since|before)$", "_at", name) not in shown
        }

    assert others == {("/api/events", "client_id"), ("/api/messages", "client_id")}


@pytest.mark.usefixtures("rows")
def test_events_are_found_by_the_clients_of_tickets_by_those_who_may_read_tickets(
    admin: Caller, app_with: Callable[..., Flask]
) -> None:
    path = "/api/events?client_id=1"
    bot, other = make(admin, "events:read"), make(admin, "events:read", "tickets:read")
    closed, opened = (
        Caller(app_with(PUBLIC_READS=names)) for names in (["events"], ["events", "tickets"])
    )

    answers = [caller.get(path) for caller in (bot, closed, other, opened)]

    assert [answer.status_code for answer in answers] == [403, 401, 200, 200]
    told = 'Bearer error="insufficient_scope", scope="tickets:read"'
    assert answers[0].headers["WWW-Authenticate"] == told
