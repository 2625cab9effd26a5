"""The export of all that is stored of a client."""

import json
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import event

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.conversations.messages import Message
from omnidesk.db import db
from omnidesk.personal_data import exporting
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
    save,
)

EXPORT = "/api/clients/1/export"


def exported(admin: Caller) -> list[dict[str, Any]]:
    """Return the lines of the export of the client 1."""
    answer = admin.get(EXPORT)
    assert (answer.status_code, answer.mimetype) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.get_data().splitlines()]


@pytest.fixture
def rows(agent: Caller) -> None:
    """The client 1, with rows of each kind, and the client 2 with as many."""
    for _ in range(2):
        client = make_client()
        make_identity(client)
        chat = make_conversation(client_id=client.client_id)
        make_message(chat, meta='{"name": "Ada"}')
        ticket = make_ticket(client.client_id)
        make_comment(ticket_id=ticket.ticket_id, user_id=agent.user.user_id)
        make_event(ticket_id=ticket.ticket_id)
    make_event(title="Of nobody")


@pytest.mark.usefixtures("rows")
def test_all_rows_of_a_client_are_exported_with_their_changes(admin: Caller) -> None:
    body = {"subject": "Kept", "client_id": 1}
    admin.post("/api/tickets", json=body, headers={"Idempotency-Key": "a"})

    lines = exported(admin)

    # The conversation has moved with its message, and the ticket with its comment.
    assert Counter(line["entity"] for line in lines) == {
        **dict.fromkeys(("client", "identity", "conversation", "message"), 1),
        **dict.fromkeys(("event", "comment", "answer"), 1),
        "ticket": 2,
        "change": 10,
    }
    changes = [line["row"]["entity"] for line in lines if line["entity"] == "change"]
    assert Counter(changes) == Counter(
        {"conversation": 2, "ticket": 3} | dict.fromkeys(("client", "identity"), 1)
    ) + Counter(["message", "event", "comment"])


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("entity", "path"),
    [
        ("client", "clients/1"),
        ("ticket", "tickets/1"),
        ("conversation", "conversations/1"),
        ("message", "conversations/1/messages/1"),
        ("comment", "comments/1"),
        ("event", "events/1"),
        ("identity", "clients/1/identities/1"),
    ],
)
def test_a_row_is_exported_as_the_api_shows_it(admin: Caller, entity: str, path: str) -> None:
    (row,) = [line["row"] for line in exported(admin) if line["entity"] == entity]

    shown = admin.get(f"/api/{path}").json
    assert {name: row[name] for name in shown if name in row} == {
        name: value for name, value in shown.items() if name in row
    }
    assert shown.keys() - row.keys() <= {"waiting", "unread"}


@pytest.mark.usefixtures("rows")
def test_a_message_is_exported_with_its_delivery_and_what_it_was_made_of(admin: Caller) -> None:
    message = db.session.get_one(Message, 1)
    message.set_delivery("failed", "Blocked by the user")
    channel_id = make_channel().channel_id
    for message_id in (1, 2, None):
        update = {"channel_id": channel_id, "message_id": message_id}
        save(UnsupportedUpdate(**update, body=f"raw {message_id}"))

    lines = exported(admin)

    (row,) = [line["row"] for line in lines if line["entity"] == "message"]
    assert row["delivery"] == admin.get("/api/conversations/1/messages/1").json["delivery"]
    raw = [line["row"]["body"] for line in lines if line["entity"] == "unsupported_update"]
    assert raw == ["raw 1"]


@pytest.mark.usefixtures("rows")
def test_an_export_is_as_of_one_moment(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    selects = exporting.selects

    def slowly(*arguments: Any) -> Any:
        for position, found in enumerate(selects(*arguments)):
            if position == 1:
                admin.post("/api/tickets", json={"client_id": 1, "subject": "Meanwhile"})
            yield found

    monkeypatch.setattr(exporting, "selects", slowly)

    lines = exported(admin)

    assert "Meanwhile" not in json.dumps(lines)
    assert "Meanwhile" in admin.get("/api/tickets").get_data(as_text=True)


def test_an_export_is_as_many_statements_for_many_rows(admin: Caller) -> None:
    make_client()

    def count() -> int:
        found: list[str] = []

        def record(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            found.append(statement)

        engines = {*db.engines.values()}
        for engine in engines:
            event.listen(engine, "before_cursor_execute", record)
        exported(admin)
        for engine in engines:
            event.remove(engine, "before_cursor_execute", record)
        return len(found)

    before = count()
    for _ in range(5):
        make_ticket(1)

    assert count() == before


def test_nobody_is_exported_who_is_not_there(admin: Caller) -> None:
    assert admin.get(EXPORT).status_code == 404


def test_an_export_is_a_file_as_the_document_says(admin: Caller) -> None:
    make_client()
    path = "/api/clients/{client_id}/export"
    documented = admin.get("/api/openapi.json").json["paths"][path]["get"]["responses"]["200"]

    answer = admin.get(EXPORT)

    assert answer.headers["Content-Disposition"] == 'attachment; filename="client-1.ndjson"'
    assert "Content-Disposition" in documented["headers"]
