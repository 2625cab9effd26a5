"""How many statements a request runs: no more for fifty rows than for one."""

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert

from omnidesk.clients.models import Client
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db, utcnow
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import TicketTag
from omnidesk.users.models import User
from tests.conftest import Caller, make_client, make_conversation, on_sqlite, recorded_statements
from tests.routes import reads


@pytest.fixture
def fifty_rows(agent: Caller) -> None:
    """Fifty rows of everything, and a hundred tags."""
    client_id, user_id, now = make_client().client_id, agent.user.user_id, utcnow()
    conversation_id = make_conversation(client_id=client_id).conversation_id
    help_ = {"client_id": client_id, "assigned_to": user_id, "subject": "Help"}
    chat = {"channel": "web", "active": True, "handled_by_bot": False}
    rows: dict[type[Base], list[dict[str, Any]]] = {
        Client: [{"full_name": "Ada", "active": True}] * 49,
        Ticket: [{"priority": "media", "status": "abierto", **help_}] * 50,
        TicketTag: [{"ticket_id": n + 1, "tag": t} for n in range(50) for t in ("vip", f"tag-{n}")],
        Event: [{"title": "Call", "start_time": now, "end_time": now, "created_by": user_id}] * 50,
        Conversation: [{"client_id": client_id, "updated_at": now, **chat}] * 49,
        Message: [{"conversation_id": conversation_id, "sender": "bot", "content": "Hello"}] * 50,
    }
    for model, values in rows.items():
        db.session.execute(insert(model), values)
    users = [
        User.new(username=f"other{n}", full_name="Other", password_hash="none") for n in range(49)
    ]
    db.session.add_all(users)
    db.session.commit()


READS = {
    "/api/tickets": 2,
    "/api/tickets?status=abierto&priority=media&assigned_to=1&client_id=1": 2,
    "/api/tickets?status=abierto,cerrado&assigned_to=1,none&include=client,assignee": 2,
    "/api/conversations?include=client,last_message": 2,
    "/api/events?include=ticket,creator": 2,
    "/api/events": 2,
    "/api/users": 2,
    "/api/clients": 2,
    "/api/conversations": 2,
    "/api/conversations/1/messages": 2,
    "/api/clients/1/timeline": 2,
    "/api/tickets/1": 2,
    "/api/tickets?tag=vip": 2,
    "/api/tags": 2,
    "/api/events/1": 2,
    "/api/conversations/1": 2,
    "/api/summary": 2,
    "/healthz": 0,
}


@pytest.mark.usefixtures("fifty_rows")
def test_a_read_runs_no_more_statements_for_more_rows(agent: Caller) -> None:
    for path, maximum in READS.items():
        with recorded_statements() as run:
            answer = agent.get(path)

        assert answer.status_code == 200, path
        if isinstance(answer.json, list):
            assert len(answer.json) == 50, path
        assert min(1, maximum) <= len(run) <= maximum, (path, run)


@on_sqlite
@pytest.mark.usefixtures("fifty_rows")
def test_no_read_makes_a_newer_sqlite_compile_its_statement_each_time(
    app: Flask, admin: Caller
) -> None:
    with recorded_statements() as run:
        for path in (*READS, *reads(app), "/api/tickets?q=help", "/api/tickets?sort=due_at"):
            admin.get(path)

    assert run
    assert not [sql for sql in run if re.search(r"LIMIT \?(?! \+)", sql)]
    assert not [sql for sql in run if re.search(r"MATCH \?\s+LIMIT .* OFFSET \?", sql)]


def test_a_new_ticket_runs_its_checks_and_one_insert(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "subject": "Help", "assigned_to": 1}

    with recorded_statements() as run:
        assert agent.post("/api/tickets", json=body).status_code == 201

    assert len(run) == 3, run
