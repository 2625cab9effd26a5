"""Changing rows: by merge patch, without losing anybody's work."""

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    make_user,
    version,
)

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def ticket(app: Any) -> str:
    """The address of a ticket."""
    return f"/api/tickets/{make_ticket(description='It began yesterday').ticket_id}"


def test_only_what_is_named_is_changed(agent: Caller, ticket: str) -> None:
    before = agent.get(ticket).json

    answer = agent.patch(ticket, json={"subject": "Cannot log in", "priority": "alta"})

    assert answer.status_code == 200
    named = {"subject": "Cannot log in", "priority": "alta"}
    assert answer.json == before | named | {"updated_at": answer.json["updated_at"]}
    assert agent.get(ticket).json == answer.json


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "tickets/1", {"status": "cerrado", "assigned_to": 1, "subject": "Other"}),
        ("patch", "conversations/1", {"active": False, "assigned_to": 1, "handled_by_bot": False}),
        ("post", "conversations/1/takeover", None),
        ("post", "conversations/1/handoff", {"reason": "Angry", "note": "Be quick"}),
        ("post", "conversations/1/read", {"up_to_message_id": 1}),
        ("post", "conversations/1/unread", {"from_message_id": 1}),
    ],
)
def test_what_a_request_changes_of_a_row_is_one_change(
    agent: Caller, admin: Caller, ticket: str, method: str, path: str, body: Any
) -> None:
    make_message(make_conversation(handled_by_bot=True))
    if path.endswith("unread"):
        agent.post("/api/conversations/1/read", json={"up_to_message_id": 1})
    row = "/api/" + "/".join(path.split("/")[:2])
    before, logged = version(agent.get(row)), len(agent.get(f"{row}/history").json)

    answer = getattr(admin, method)(f"/api/{path}", json=body)

    assert (answer.status_code, version(answer)) == (200, before + 1)
    assert len(agent.get(f"{row}/history").json) == logged + 1


def test_a_merge_patch_may_say_that_it_is_one(agent: Caller, ticket: str) -> None:
    answer = agent.patch(ticket, data='{"description":null}', headers=MERGE_PATCH)

    assert (answer.status_code, answer.json["description"]) == (200, None)


def test_every_field_of_a_ticket_can_be_changed(agent: Caller, ticket: str) -> None:
    changes = {
        "client_id": make_client().client_id,
        "subject": "Other",
        "description": "",
        "priority": "baja",
        "status": "en_progreso",
        "due_at": "2026-01-02T03:04:05Z",
        "assigned_to": agent.user.user_id,
    }

    answer = agent.patch(ticket, json=changes)

    assert answer.json == agent.get(ticket).json
    assert changes.items() <= answer.json.items()


def test_closing_notes_the_time_and_reopening_forgets_it(agent: Caller, ticket: str) -> None:
    closed = agent.patch(ticket, json={"status": "cerrado"}).json
    again = agent.patch(ticket, json={"status": "cerrado", "subject": "Closed"}).json
    opened = agent.patch(ticket, json={"status": "abierto"}).json

    assert closed["resolved_at"]
    assert again["resolved_at"] == closed["resolved_at"]
    assert opened["resolved_at"] is None


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/tickets/1", {"subject": ""}, "subject"),
        ("/api/tickets/1", {"subject": None}, "subject"),
        ("/api/tickets/1", {"priority": "urgent"}, "priority"),
        ("/api/tickets/1", {"client_id": 424242}, "client_id"),
        ("/api/tickets/1", {"client_id": None}, "client_id"),
        ("/api/tickets/1", {"assigned_to": 424242}, "assigned_to"),
        ("/api/tickets/1", {"ticket_id": 2}, "ticket_id"),
        ("/api/tickets/1", {"created_at": "2025-01-01T00:00:00Z"}, "created_at"),
        ("/api/tickets/1", {"resolved_at": "2025-01-01T00:00:00Z"}, "resolved_at"),
        ("/api/tickets/1", {"version": 7}, "version"),
        ("/api/tickets/1", [], "_schema"),
        ("/api/events/1", {"title": None}, "title"),
        ("/api/events/1", {"end_time": "1999-01-01T00:00:00Z"}, "end_time"),
        ("/api/events/1", {"end_time": "2199-01-01T00:00:00Z"}, "end_time"),
        ("/api/events/1", {"created_by": 1}, "created_by"),
        ("/api/events/1", {"ticket_id": 424242}, "ticket_id"),
        ("/api/clients/1", {"full_name": ""}, "full_name"),
        ("/api/clients/1", {"active": 1}, "active"),
        ("/api/conversations/1", {"channel": "web"}, "channel"),
        ("/api/conversations/1", {"client_id": 424242}, "client_id"),
        ("/api/conversations/1", {"active": None}, "active"),
        ("/api/users/1", {"username": "other"}, "username"),
        ("/api/users/1", {"role": "root"}, "role"),
        ("/api/users/1", {"password": "short"}, "password"),
        ("/api/users/1", {"password": "password123"}, "password"),
        ("/api/users/1", {"password_hash": "x"}, "password_hash"),
    ],
)
def test_a_change_with_a_fault_is_refused_by_name(
    admin: Caller, path: str, body: Any, field: str
) -> None:
    client_id = make_ticket().client_id
    make_event(created_by=admin.user.user_id)
    make_conversation(client_id=client_id)
    before = admin.get(path).json

    answer = admin.patch(path, json=body)

    assert answer.status_code == 400, answer.json
    assert list(answer.json["errors"]) == [field]
    assert admin.get(path).json == before


@pytest.mark.parametrize("path", ["tickets", "events", "clients", "conversations", "users"])
def test_a_row_that_is_not_there_cannot_be_changed(admin: Caller, path: str) -> None:
    assert admin.patch(f"/api/{path}/424242", json={}).status_code == 404


@pytest.mark.parametrize("path", ["tickets/1", "events/1", "clients/1", "conversations/1"])
def test_changing_needs_a_token(anybody: Caller, path: str) -> None:
    assert anybody.patch(f"/api/{path}", json={}).status_code == 401


def test_an_event_is_changed_and_deleted_by_its_creator_or_an_admin(
    agent: Caller, admin: Caller
) -> None:
    mine, theirs = make_event(created_by=agent.user.user_id), make_event()
    path = f"/api/events/{mine.event_id}"
    hour = timedelta(hours=1)

    assert agent.patch(path, json={"title": "Moved"}).json["title"] == "Moved"
    assert agent.patch(f"/api/events/{theirs.event_id}", json={}).status_code == 403
    assert agent.delete(f"/api/events/{theirs.event_id}").status_code == 403
    later = (mine.end_time + hour).isoformat()
    assert admin.patch(path, json={"end_time": later}).status_code == 200

    gone = admin.delete(path)
    assert (gone.status_code, gone.data) == (204, b"")
    assert agent.delete(path).status_code == 404
    assert agent.get(path).status_code == 404


def test_a_client_is_deleted_only_where_nothing_refers_to_it(agent: Caller) -> None:
    busy, idle = make_ticket().client_id, make_client().client_id

    refused = agent.delete(f"/api/clients/{busy}")

    assert refused.status_code == 409
    assert list(refused.json["errors"]) == ["client_id"]
    assert agent.get(f"/api/clients/{busy}").status_code == 200
    assert agent.delete(f"/api/clients/{idle}").status_code == 204
    assert agent.get(f"/api/clients/{idle}").status_code == 404


def test_clients_are_found_by_what_is_known_of_them(agent: Caller) -> None:
    ada = make_client(full_name="Ada Lovelace", email="ada@example.com", external_id="crm-1")
    bob = make_client(full_name="Bob", phone="+57 601 100%", active=False)

    def found(query: str) -> list[int]:
        return [client["client_id"] for client in agent.get(f"/api/clients?{query}").json]

    assert found("q=LOVE") == [ada.client_id]
    assert found("q=example.com") == [ada.client_id]
    assert found("q=100%25") == [bob.client_id]
    assert found("active=false") == [bob.client_id]
    assert found("external_id=crm-1&active=true") == [ada.client_id]
    assert found("q=bob&active=true") == []


def test_a_conversation_begins_and_is_changed(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "channel": "whatsapp"}

    begun = agent.post("/api/conversations", json=body)
    path = begun.headers["Location"]
    ended = agent.patch(path, json={"active": False, "handled_by_bot": True})

    assert begun.status_code == 201
    assert body.items() <= begun.json.items()
    assert (begun.json["active"], begun.json["handled_by_bot"]) == (True, False)
    assert (ended.json["active"], ended.json["handled_by_bot"]) == (False, True)
    assert agent.post(f"{path}/messages", json={"content": "Hello"}).status_code == 409


def test_me_shows_the_user_of_the_token(agent: Caller) -> None:
    assert agent.get("/api/me").json == agent.get(f"/api/users/{agent.user.user_id}").json


def test_users_change_their_own_name_and_email_only(agent: Caller, admin: Caller) -> None:
    mine, theirs = f"/api/users/{agent.user.user_id}", f"/api/users/{admin.user.user_id}"

    assert agent.patch(mine, json={"full_name": "Me", "email": None}).json["full_name"] == "Me"
    for body in ({"role": "admin"}, {"active": False}, {"password": "correct horse 2"}):
        assert agent.patch(mine, json=body).status_code == 403
    assert agent.patch(theirs, json={"full_name": "Me"}).status_code == 403


def test_a_change_of_rights_counts_at_once(agent: Caller, admin: Caller) -> None:
    path = f"/api/users/{agent.user.user_id}"

    assert admin.patch(path, json={"role": "admin"}).status_code == 200
    assert agent.get(f"{path}/history").status_code == 200
    assert admin.patch(path, json={"role": "empleado"}).status_code == 200
    assert agent.get(f"{path}/history").status_code == 403
    assert admin.patch(path, json={"active": False}).status_code == 200
    assert agent.get("/api/me").status_code == 401


def test_a_new_password_ends_older_tokens(agent: Caller, admin: Caller) -> None:
    path = f"/api/users/{agent.user.user_id}"

    assert admin.patch(path, json={"password": "another horse"}).status_code == 200

    assert agent.get("/api/me").status_code == 401
    login = {"username": "emp1", "password": "another horse"}
    assert agent.post("/api/login", json=login, headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize("change", [{"role": "empleado"}, {"active": False}])
def test_the_last_admin_stays_one(admin: Caller, change: dict[str, Any]) -> None:
    make_user("gone", role="admin", active=False)
    path = f"/api/users/{admin.user.user_id}"

    refused = admin.patch(path, json=change)

    assert refused.status_code == 409
    assert list(refused.json["errors"]) == list(change)
    make_user("second", role="admin")
    assert admin.patch(path, json=change).status_code == 200


def test_a_taken_email_is_refused(agent: Caller) -> None:
    make_user("other")

    answer = agent.patch(f"/api/users/{agent.user.user_id}", json={"email": "OTHER@example.com"})

    assert (answer.status_code, list(answer.json["errors"])) == (409, ["email"])


def test_nobody_inactive_is_assigned_anything(agent: Caller, ticket: str) -> None:
    gone = make_user("gone", active=False)

    answer = agent.patch(ticket, json={"assigned_to": gone.user_id})

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["assigned_to"])
