"""Who may do what: nobody gets a right, or a row of another's, by asking in another way."""

from typing import Any

import pytest
from sqlalchemy import func, select

from omnidesk.db import db
from omnidesk.users.models import User
from tests.conftest import PASSWORD, make_conversation, make_user
from tests.security.conftest import EVENT, TICKET, USER, Desk

MESSAGE = {"content": "Hello"}
MESSAGES = "conversations/1/messages"
TIME = "2020-01-01T00:00:00Z"
OWN = (  # what the server itself sets
    *(("tickets", TICKET, name, 1) for name in ("ticket_id", "version")),
    *(("tickets", TICKET, name, TIME) for name in ("created_at", "resolved_at", "updated_at")),
    *(("events", EVENT, name, 1) for name in ("event_id", "created_by")),
    *((MESSAGES, MESSAGE, name, 1) for name in ("message_id", "conversation_id", "user_id")),
    *((MESSAGES, MESSAGE, name, TIME) for name in ("created_at", "deleted_at")),
    *(("users", USER, name, 1) for name in ("user_id", "password_hash", "active")),
    *(
        ("users", USER, name, TIME)
        for name in ("last_login_at", "password_changed_at", "created_at")
    ),
)


@pytest.mark.parametrize(("path", "body", "field", "value"), OWN)
def test_what_the_server_sets_is_not_taken(
    desk: Desk, path: str, body: Any, field: str, value: Any
) -> None:
    before = desk.ask("GET", "/api/tickets/1").json()

    answer = desk.ask("POST", f"/api/{path}", "admin", json=body | {field: value})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert desk.ask("GET", "/api/tickets/1").json() == before


@pytest.mark.parametrize("role", ["empleado", "admin"])
def test_an_employee_makes_no_user(desk: Desk, role: str) -> None:
    answer = desk.ask("POST", "/api/users", json=USER | {"role": role})

    assert (answer.status_code, answer.json()) == (403, {"detail": "Forbidden"})
    assert db.session.scalar(select(func.count()).select_from(User)) == 2
    db.session.rollback()


def test_an_admin_makes_an_admin_and_the_last_one_stays(desk: Desk) -> None:
    first = f"/api/users/{desk.admin.user.user_id}"
    made = desk.ask("POST", "/api/users", "admin", json=USER | {"role": "admin"})
    second = made.headers["Location"]

    changes = (second, {"active": False}), (first, {"role": "empleado"}), (first, {"active": False})
    answers = [desk.ask("PATCH", path, "admin", json=change) for path, change in changes]

    assert made.status_code == 201
    assert [answer.status_code for answer in answers] == [200, 409, 409]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("tickets", TICKET | {"client_id": 424242}, "client_id"),
        ("tickets", TICKET | {"assigned_to": 424242}, "assigned_to"),
        ("events", EVENT | {"ticket_id": 424242}, "ticket_id"),
        ("conversations", {"client_id": 424242, "channel": "web"}, "client_id"),
    ],
)
def test_a_reference_to_no_row_is_refused(desk: Desk, path: str, body: Any, field: str) -> None:
    answer = desk.ask("POST", f"/api/{path}", json=body)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_a_ticket_is_assigned_to_active_users_only(desk: Desk) -> None:
    away = make_user("off1", active=False).user_id
    people = (away, desk.admin.user.user_id, desk.agent.user.user_id, None)

    answers = [desk.ask("POST", "/api/tickets", json=TICKET | {"assigned_to": n}) for n in people]

    assert [answer.status_code for answer in answers] == [400, 201, 201, 201]
    assert list(answers[0].json()["errors"]) == ["assigned_to"]


@pytest.mark.parametrize("more", [{}, {"ticket_id": None}, {"ticket_id": 1}])
def test_an_event_may_be_about_a_ticket(desk: Desk, more: Any) -> None:
    answer = desk.ask("POST", "/api/events", json=EVENT | more)

    assert answer.status_code == 201
    assert answer.json()["created_by"] == desk.agent.user.user_id


def test_an_inactive_or_unknown_conversation_takes_no_message(desk: Desk) -> None:
    make_conversation(client_id=1, active=False)

    posts = [desk.ask("POST", f"/api/conversations/{n}/messages", json=MESSAGE) for n in (2, 3)]
    reads = [desk.ask("GET", f"/api/conversations/{n}/messages") for n in (1, 2, 3)]

    assert [answer.status_code for answer in posts] == [409, 404]
    assert [answer.status_code for answer in reads] == [200, 200, 404]
    assert desk.ask("GET", "/api/conversations/2/messages/1").status_code == 404, "it is of 1"


def test_the_change_log_names_who_posted_a_message(desk: Desk) -> None:
    said = {"content": "Hello", "sender": "client"}

    refused = [
        desk.ask("POST", f"/api/{MESSAGES}", json=said | {"sender": s}) for s in ("bot", "client")
    ]
    desk.ask("POST", f"/api/{MESSAGES}", "admin", json=said)
    desk.ask("POST", f"/api/{MESSAGES}", json={"content": "Hello"})

    assert [answer.status_code for answer in refused] == [403, 403]
    log = desk.ask("GET", "/api/changes?entity=message", "admin").json()
    people = [None, desk.admin.user.user_id, desk.agent.user.user_id]
    assert [change["actor"] for change in log if change["op"] == "created"] == people


WALKED = ("tickets", "events", "clients", "conversations", "users", "comments", "tokens")


@pytest.mark.parametrize("path", WALKED)
def test_ids_of_no_row_all_look_the_same(desk: Desk, path: str) -> None:
    answers = [desk.ask("GET", f"/api/{path}/{n}") for n in (*range(3, 30), 424242, 2**31)]

    assert {(answer.status_code, answer.text) for answer in answers} == {
        (404, '{"detail":"Not Found"}')
    }


def test_a_row_of_another_user_looks_like_no_row(desk: Desk) -> None:
    body = {"name": "x", "scopes": ["tickets:read"], "password": PASSWORD}
    assert desk.ask("POST", "/api/tokens", "admin", json=body).status_code == 201
    (session,) = desk.ask("GET", "/api/me/sessions", "admin").json()
    theirs = ("/api/tokens/1", f"/api/me/sessions/{session['session_id']}")
    nobodys = ("/api/tokens/424242", "/api/me/sessions/424242")

    for path, other in zip(theirs, nobodys, strict=True):
        answers = [desk.ask("DELETE", each) for each in (path, other)]
        assert [(a.status_code, a.text) for a in answers] == [(404, '{"detail":"Not Found"}')] * 2
    assert [desk.ask("GET", each).status_code for each in ("/api/tokens/1", nobodys[0])] == [
        404
    ] * 2


def test_the_summary_is_the_same_for_everybody_but_for_what_is_theirs(desk: Desk) -> None:
    for status in ("abierto", "en_progreso", "cerrado", "cerrado"):
        desk.ask("POST", "/api/tickets", json=TICKET | {"status": status})

    mine, theirs = (desk.ask("GET", "/api/summary", who).json() for who in ("agent", "admin"))

    assert mine["tickets"].pop("mine") == 0
    assert theirs["tickets"].pop("mine") == 0
    assert mine == theirs
    listed = [
        len(desk.ask("GET", f"/api/tickets?status={status}").json())
        for status in ("abierto", "en_progreso", "cerrado")
    ]
    counts = [mine["tickets"][name] for name in ("open", "in_progress", "closed")]
    assert counts == listed == [2, 1, 2]
    assert mine["users_count"] == len(desk.ask("GET", "/api/users").json())
