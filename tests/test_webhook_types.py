"""As what a webhook is told of each change that is made through the API."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from omnidesk.db import db
from omnidesk.db.change_log import Change
from omnidesk.webhooks.event_types import EVENT_TYPES, GROUPS, NAMES, LoggedChange, types_of
from omnidesk.webhooks.making import make_deliveries
from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_message,
    make_tag,
    make_ticket,
    make_user,
)
from tests.webhooks import EVERYTHING, deliveries, make_webhook

Rows = dict[str, int]
TICKET = {"client_id": 1, "subject": "Help", "priority": "alta"}
EVENT = dict.fromkeys(("start_time", "end_time"), "2025-11-01T15:00:00Z") | {"title": "Call"}


@pytest.fixture
def rows(admin: Caller) -> None:
    """A row of each kind, numbered 1, and others that are closed, tagged, and a bot's."""
    make_client()
    make_client()
    make_ticket(1)
    make_ticket(1, status="cerrado")
    make_tag(make_ticket(1))
    make_comment(ticket_id=1, user_id=admin.user.user_id)
    make_event()
    make_message(make_conversation(client_id=1))
    make_conversation(client_id=1, channel="bots", handled_by_bot=True, turn=1)


def told(change: Callable[[], Any], types: list[str] | None = None) -> list[str]:
    """Return as what a webhook is told of what a function does."""
    webhook = make_webhook(types=types or EVERYTHING)
    answer = change()
    assert answer.status_code < 300, answer.json
    make_deliveries()
    return [delivery.type for delivery in deliveries(webhook)]


Act = tuple[str, str, Any, list[str]]
ACTS: list[Act] = [
    ("post", "tickets", TICKET, ["ticket.created"]),
    ("post", "tickets", TICKET | {"assigned_to": 1}, ["ticket.created"]),
    ("patch", "tickets/1", {"status": "cerrado"}, ["ticket.closed"]),
    ("patch", "tickets/1", {"status": "en_progreso"}, ["ticket.updated"]),
    ("patch", "tickets/2", {"status": "abierto"}, ["ticket.reopened"]),
    ("patch", "tickets/1", {"assigned_to": 1}, ["ticket.assigned"]),
    ("patch", "tickets/1", {"priority": "alta"}, ["ticket.updated"]),
    ("patch", "tickets/1", {"priority": "media"}, []),
    ("put", "tickets/1/tags/vip", None, ["ticket.tagged"]),
    ("delete", "tickets/3/tags/vip", None, ["ticket.tagged"]),
    ("post", "tickets/1/comments", {"body": "Called"}, ["comment.created"]),
    ("patch", "comments/1", {"body": "Called back again"}, ["comment.updated"]),
    ("delete", "comments/1", None, ["comment.deleted"]),
    ("post", "clients", {"full_name": "Ada"}, ["client.created"]),
    ("patch", "clients/1", {"full_name": "Ada L."}, ["client.updated"]),
    ("delete", "clients/2", None, ["client.deleted"]),
    ("post", "clients/2/erase", {"full_name": "Ada Lovelace"}, ["client.erased"]),
    ("post", "clients/1/identities", {"channel": "web", "external_user_id": "x"}, []),
    ("post", "events", EVENT, ["event.created"]),
    ("patch", "events/1", {"title": "Visit"}, ["event.updated"]),
    ("delete", "events/1", None, ["event.deleted"]),
    ("post", "conversations", {"client_id": 1, "channel": "web"}, ["conversation.created"]),
    ("patch", "conversations/1", {"active": False}, ["conversation.updated"]),
    ("post", "conversations/2/handoff", {"reason": "Angry"}, ["conversation.handed_off"]),
    ("post", "conversations/2/takeover", None, ["conversation.updated"]),
    (
        *("post", "conversations/1/messages", {"content": "Hi", "sender": "client"}),
        ["message.created", "conversation.updated"],
    ),
    (
        *("post", "conversations/1/messages", {"content": "Hm", "kind": "note"}),
        ["message.created"],
    ),
    ("patch", "conversations/1/messages/1", {"content": "Hello!"}, []),
    ("delete", "conversations/1/messages/1", None, []),
    ("post", "users", {"username": "new1", "full_name": "N", "password": "a long one 1"}, []),
    (
        *("post", "imports/clients"),
        {"source": "old", "rows": [{"external_id": "1", "full_name": "Old"}]},
        [],
    ),
    (
        *("post", "imports/tickets"),
        {
            "source": "old",
            "rows": [
                {"external_id": "1", "client_id": 1, "subject": "Old", "status": "cerrado"}
                | {"tags": ["vip"], "created_at": "2020-01-01T00:00:00Z"}
            ],
        },
        [],
    ),
]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), ACTS, ids=lambda value: value or "-"
)
def test_a_webhook_that_asks_for_everything_is_told_of_a_change_as(
    admin: Caller, method: str, path: str, body: Any, expected: list[str]
) -> None:
    sent = {} if body is None else {"json": body}

    assert told(lambda: getattr(admin, method)(f"/api/{path}", **sent)) == expected


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["ticket.assigned"], ["ticket.assigned"]),
        (["ticket.closed"], ["ticket.closed"]),
        (["ticket.updated", "ticket.assigned"], ["ticket.assigned"]),
        (["ticket.created", "ticket.closed"], ["ticket.created"]),
        (["ticket.updated"], []),
        (["comment.*", "client.created"], []),
    ],
)
def test_a_change_of_several_types_is_told_as_the_first_that_is_asked_for(
    admin: Caller, types: list[str], expected: list[str]
) -> None:
    ticket = TICKET | {"assigned_to": 1, "status": "cerrado"}

    assert told(lambda: admin.post("/api/tickets", json=ticket), types) == expected


def change(**fields: Any) -> LoggedChange:
    """Return a change of a message as the log has it."""
    defaults: dict[str, Any] = {
        "seq": 1,
        "at": "",
        "actor": None,
        "entity": "message",
        "entity_id": 1,
    }
    return LoggedChange(**(defaults | {"op": "updated", "before": "{}", "after": "{}"} | fields))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("sending", []),
        ("queued", ["message.delivery"]),
        ("delivered", ["message.delivery"]),
        ("failed", ["message.delivery"]),
    ],
)
def test_a_messages_delivery_is_told_but_not_that_it_begins(
    state: str, expected: list[str]
) -> None:
    assert types_of(change(after=f'{{"delivery_state":"{state}"}}')) == expected


def test_every_type_has_a_change_above() -> None:
    made = {name for *_, names in ACTS for name in names}

    assert {*NAMES} - made == {"message.delivery"}
    assert {each.entity for each in EVENT_TYPES} == {group[:-2] for group in GROUPS}


@pytest.mark.usefixtures("rows")
def test_users_are_told_of_to_nobody(admin: Caller) -> None:
    make_user("new1")

    found = db.session.scalars(select(Change).where(Change.entity == "user")).all()

    assert found
    assert [types_of(change(entity=row.entity, op=row.op)) for row in found] == [[]] * len(found)
