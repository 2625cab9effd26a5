"""Tickets that came from a conversation: both are of the same client, whatever changes."""

from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from omnidesk.db import db
from omnidesk.db.constraints import defer_constraints, rule_violation
from omnidesk.tickets.models import Ticket
from tests.conftest import Caller, make_client, make_conversation, make_ticket, version


@pytest.fixture
def rows(app: Any) -> None:
    """The clients 1 and 2, a conversation and a ticket of each; the first ticket came from it."""
    for number in (1, 2):
        make_conversation(client_id=make_client().client_id)
        make_ticket(number, conversation_id=number if number == 1 else None)


def test_a_ticket_is_opened_from_a_conversation(agent: Caller) -> None:
    conversation = make_conversation()

    answer = agent.post(
        f"/api/conversations/{conversation.conversation_id}/ticket",
        json={"subject": "Cannot login", "priority": "alta", "description": "Since yesterday"},
    )

    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/tickets/{answer.json['ticket_id']}"
    assert version(answer) == 1
    assert answer.json == agent.get(answer.headers["Location"]).json
    assert answer.json["client_id"] == conversation.client_id
    assert answer.json["conversation_id"] == conversation.conversation_id
    assert (answer.json["status"], answer.json["priority"]) == ("abierto", "alta")


def test_a_ticket_is_opened_from_a_conversation_once(agent: Caller) -> None:
    path = f"/api/conversations/{make_conversation().conversation_id}/ticket"
    key = {"Idempotency-Key": "k"}

    first, second = (agent.post(path, headers=key, json={"subject": "x"}) for _ in range(2))

    assert first.json == second.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(agent.get("/api/tickets").json) == 1


def test_a_ticket_of_no_conversation_is_404(agent: Caller) -> None:
    answer = agent.post("/api/conversations/424242/ticket", json={"subject": "x"})

    assert answer.status_code == 404


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("post", "tickets", {"client_id": 1, "conversation_id": 2}, 400, "conversation_id"),
        ("post", "tickets", {"client_id": 1, "conversation_id": 424242}, 400, "conversation_id"),
        ("post", "tickets", {"client_id": 424242, "conversation_id": None}, 400, "client_id"),
        ("patch", "tickets/1", {"conversation_id": 2}, 400, "conversation_id"),
        ("patch", "tickets/1", {"client_id": 2}, 400, "conversation_id"),
        ("patch", "tickets/2", {"client_id": 1, "conversation_id": 2}, 400, "conversation_id"),
        ("patch", "tickets/2", {"conversation_id": 0}, 400, "conversation_id"),
        ("patch", "tickets", {"ticket_ids": [2, 1], "set": {"client_id": 2}}, 400, None),
        ("patch", "tickets", {"ticket_ids": [2, 1], "set": {"conversation_id": 1}}, 400, None),
        ("patch", "conversations/1", {"client_id": 2}, 409, "client_id"),
        ("patch", "conversations/1", {"client_id": 424242}, 400, "client_id"),
        ("patch", "conversations/2", {"client_id": 424242}, 400, "client_id"),
        ("post", "conversations/1/ticket", {"client_id": 1}, 400, "client_id"),
        ("post", "conversations/1/ticket", {"status": "cerrado"}, 400, "status"),
    ],
)
def test_a_ticket_and_its_conversation_are_of_one_client(
    agent: Caller, method: str, path: str, body: Any, status: int, field: str | None
) -> None:
    before = agent.get("/api/tickets").json
    new = {"subject": "x"} if method == "post" else {}

    answer = getattr(agent, method)(f"/api/{path}", json=new | body)

    errors = answer.json["errors"]
    named = list(errors["set"] if "set" in body else errors)
    assert (answer.status_code, named) == (status, [field or "conversation_id"])
    assert agent.get("/api/tickets").json == before
    assert agent.get("/api/conversations/1").json["client_id"] == 1


@pytest.mark.usefixtures("rows")
def test_a_ticket_moves_to_another_client_with_another_conversation(agent: Caller) -> None:
    moved = agent.patch("/api/tickets/1", json={"client_id": 2, "conversation_id": 2})
    freed = agent.patch("/api/conversations/1", json={"client_id": 2})
    cut = agent.patch("/api/tickets/1", json={"client_id": 1, "conversation_id": None})

    assert [answer.status_code for answer in (moved, freed, cut)] == [200] * 3
    newest, *_ = agent.get("/api/tickets/1/history").json
    assert (newest["before"]["conversation_id"], newest["after"]["conversation_id"]) == (2, None)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("conversation_id=1", [3, 1]),
        ("conversation_id=1,2", [4, 3, 1]),
        ("conversation_id=1,2&status=abierto&priority=alta", [3]),
        ("conversation_id=1&tag=vip", [3]),
        ("conversation_id=1&tag=vip,bug", []),
        ("conversation_id=2&client_id=1", []),
        ("conversation_id=424242", []),
    ],
)
def test_tickets_are_found_by_their_conversation(
    agent: Caller, query: str, found: list[int]
) -> None:
    for number, priority in ((1, "alta"), (2, "baja")):
        body = {"subject": "x", "priority": priority}
        agent.post(f"/api/conversations/{number}/ticket", json=body)
    agent.put("/api/tickets/3/tags/vip")
    agent.put("/api/tickets/4/tags/vip")

    answer = agent.get(f"/api/tickets?{query}")

    assert [ticket["ticket_id"] for ticket in answer.json] == found


def test_a_reference_that_the_commit_finds_broken_is_named_where_the_database_names_it(
    app: Any,
) -> None:
    ticket_id = make_ticket().ticket_id
    defer_constraints()
    moved = update(Ticket).where(Ticket.ticket_id == ticket_id).values(conversation_id=4242)
    db.session.execute(moved)

    with pytest.raises(IntegrityError) as error:
        db.session.commit()

    db.session.rollback()
    violation = rule_violation(error.value)
    named = {"conversation_id": ["The client has no such conversation."]}
    assert (violation and violation.errors) == (named if db.engine.name == "postgresql" else None)
