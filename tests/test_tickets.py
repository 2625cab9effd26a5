"""Tickets: what clients ask for."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from omnidesk.db import db, utcnow
from tests.conftest import Caller, make_client, make_ticket, make_user, on_sqlite, reload, save

KEYS = [
    "ticket_id",
    "client_id",
    "subject",
    "description",
    "priority",
    "status",
    "created_at",
    "due_at",
    "resolved_at",
    "assigned_to",
    "tags",
    "updated_at",
    "conversation_id",
]


def post(caller: Caller, **fields: Any) -> Any:
    """Open a ticket of a new client's."""
    body = {"client_id": make_client().client_id, "subject": "Cannot login"} | fields
    return caller.post("/api/tickets", json=body)


def test_a_new_ticket_is_open_and_of_medium_priority(agent: Caller) -> None:
    answer = post(agent)

    assert answer.status_code == 201
    assert list(answer.json) == KEYS
    assert answer.json["status"] == "abierto"
    assert answer.json["priority"] == "media"
    assert answer.json["description"] is answer.json["due_at"] is None
    assert answer.json["resolved_at"] is answer.json["assigned_to"] is None
    assert agent.get(answer.headers["Location"]).json == answer.json


def test_a_ticket_keeps_what_was_given(agent: Caller) -> None:
    given = {
        "description": "",
        "priority": "alta",
        "status": "en_progreso",
        "due_at": "2030-01-01T00:00:00Z",
        "assigned_to": agent.user.user_id,
    }

    answer = post(agent, **given)

    assert answer.json == answer.json | given


def test_a_ticket_may_be_created_closed(agent: Caller) -> None:
    assert post(agent, status="cerrado").json["resolved_at"] is not None


def test_closing_notes_the_time_and_reopening_forgets_it(app: Any) -> None:
    ticket = make_ticket()

    ticket.move_to("cerrado")
    closed_at = ticket.resolved_at
    ticket.move_to("cerrado")
    db.session.commit()
    assert reload(ticket).resolved_at == closed_at is not None

    ticket.move_to("abierto")
    db.session.commit()
    assert reload(ticket).resolved_at is None


def test_no_open_ticket_is_resolved_in_the_database(app: Any) -> None:
    ticket = make_ticket()
    ticket.resolved_at = utcnow()

    with pytest.raises(IntegrityError, match="ck_ticket_resolved_when_closed"):
        db.session.commit()
    db.session.rollback()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_id", None),
        ("client_id", 0),
        ("client_id", -1),
        ("client_id", 424242),
        ("client_id", "7"),
        ("client_id", 7.0),
        ("client_id", True),
        ("assigned_to", 424242),
        ("assigned_to", 0),
        ("subject", ""),
        ("subject", "x" * 999),
        ("subject", None),
        ("description", "x" * 65_537),
        ("priority", "ALTA"),
        ("priority", "alta "),
        ("priority", 1),
        ("priority", None),
        ("status", "closed"),
        ("due_at", "tomorrow"),
        ("ticket_id", 1),
        ("created_at", "2025-10-29T09:12:00Z"),
        ("resolved_at", None),
        ("created_by", 1),
    ],
)
def test_a_ticket_with_a_fault_is_refused_by_name(agent: Caller, field: str, value: object) -> None:
    answer = post(agent, **{field: value})

    assert answer.status_code == 400
    assert answer.json["detail"] == "Bad Request"
    assert list(answer.json["errors"]) == [field]


def test_a_ticket_without_its_fields_is_refused_by_each(agent: Caller) -> None:
    answer = agent.post("/api/tickets", json={})

    missing = ["Missing data for required field."]
    assert answer.json["errors"] == {"client_id": missing, "subject": missing}


@pytest.mark.parametrize("bulk", [False, True])
def test_whoever_has_a_ticket_keeps_it_when_inactive(agent: Caller, bulk: bool) -> None:
    gone = make_user("gone")
    tickets = [make_ticket(assigned_to=gone.user_id).ticket_id for _ in range(2)]
    gone.active = False
    save(gone)
    fields = {"assigned_to": gone.user_id, "priority": "alta"}

    if bulk:
        answer = agent.patch("/api/tickets", json={"ticket_ids": tickets, "set": fields})
        changed = answer.json[0]
    else:
        answer = agent.patch(f"/api/tickets/{tickets[0]}", json=fields)
        changed = answer.json

    assert answer.status_code == 200
    assert fields.items() <= changed.items()


def test_nobody_inactive_is_assigned_some_of_many_tickets(agent: Caller) -> None:
    gone = make_user("gone")
    tickets = [make_ticket(assigned_to=user).ticket_id for user in (gone.user_id, None)]
    gone.active = False
    save(gone)

    fields = {"assigned_to": gone.user_id}
    answer = agent.patch("/api/tickets", json={"ticket_ids": tickets, "set": fields})

    assert (answer.status_code, list(answer.json["errors"]["set"])) == (400, ["assigned_to"])


def test_nobody_inactive_is_assigned_a_ticket(agent: Caller) -> None:
    gone = make_user("gone", active=False)

    answer = post(agent, assigned_to=gone.user_id)

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == ["assigned_to"]


def test_an_unknown_ticket_is_404(agent: Caller) -> None:
    answer = agent.get("/api/tickets/424242")

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})


def test_tickets_are_listed_newest_first(agent: Caller) -> None:
    ids = [make_ticket().ticket_id for _ in range(3)]

    tickets = agent.get("/api/tickets").json

    assert [ticket["ticket_id"] for ticket in tickets] == ids[::-1]
    assert list(tickets[0]) == KEYS


def test_tickets_are_filtered(agent: Caller) -> None:
    mine = make_ticket(priority="alta", assigned_to=agent.user.user_id)
    closed = make_ticket(status="cerrado", client_id=mine.client_id)

    def found(query: str) -> list[int]:
        return [ticket["ticket_id"] for ticket in agent.get(f"/api/tickets?{query}").json]

    assert found("status=cerrado") == [closed.ticket_id]
    assert found("priority=alta") == found(f"assigned_to={agent.user.user_id}") == [mine.ticket_id]
    assert found(f"client_id={mine.client_id}") == [closed.ticket_id, mine.ticket_id]
    assert found(f"client_id={mine.client_id}&status=abierto") == [mine.ticket_id]
    assert found("client_id=424242") == []


@on_sqlite
@pytest.mark.parametrize(
    "query",
    [
        "status=open",
        "status=",
        "status=abierto%00",
        "priority=urgent",
        "assigned_to=mine",
        "assigned_to=,7",
        "status=abierto,",
        "status=abierto,open",
        "include=",
        "include=clients",
        "assigned_to=1%20OR%201=1",
        "assigned_to=1;drop",
        "assigned_to=%D9%A7",
        "assigned_to=5_0",
        "assigned_to=%207",
        "assigned_to=7.0",
        "client_id=0",
        "client_id=-1",
        "client_id=2147483648",
        "client_id=99999999999999999999",
        "client_id=%25",
    ],
)
def test_a_filter_with_a_fault_is_refused_by_name(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/tickets?{query}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [query.split("=", maxsplit=1)[0]]
