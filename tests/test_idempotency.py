"""Idempotency-Key: a request that is sent again is not done again."""

import json
from collections import Counter
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, update

from omnidesk.auth.models import ApiToken
from omnidesk.db import db, utcnow
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User
from tests.conftest import PASSWORD, Caller, make_client, make_conversation
from tests.servers import run_concurrently

KEY = {"Idempotency-Key": "a-key"}
JSON = "application/json"


@pytest.fixture
def body(app: Any) -> dict[str, Any]:
    """A new ticket."""
    return {"client_id": make_client().client_id, "subject": "Help"}


def count(model: Any) -> int:
    """Return how many rows there are."""
    found = db.session.scalar(select(func.count()).select_from(model))
    db.session.rollback()
    return int(found or 0)


def test_the_same_request_is_answered_alike_and_done_once(agent: Caller, body: Any) -> None:
    first = agent.post("/api/tickets", json=body, headers=KEY)
    again = agent.post("/api/tickets", json=body, headers=KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.data == first.data
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert count(Ticket) == 1


def test_every_post_that_creates_takes_a_key(admin: Caller, body: Any) -> None:
    chat = make_conversation()
    bodies = {
        "/api/tickets": body,
        "/api/clients": {"full_name": "Ada"},
        "/api/events": {
            "title": "Call",
            "start_time": "2025-11-01T15:00:00Z",
            "end_time": "2025-11-01T15:00:00Z",
        },
        "/api/users": {"full_name": "New", "username": "new", "password": "ClearTextPassword!"},
        "/api/conversations": {"client_id": chat.client_id, "channel": "web"},
        f"/api/conversations/{chat.conversation_id}/messages": {"content": "Hello"},
    }
    for path, sent in bodies.items():
        first, again = (admin.post(path, json=sent, headers=KEY) for _ in range(2))

        assert (first.status_code, again.status_code) == (201, 201), path
        assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")


def test_a_key_is_one_users_and_one_routes(agent: Caller, admin: Caller, body: Any) -> None:
    for caller in (agent, admin):
        assert (
            "Idempotent-Replayed" not in caller.post("/api/tickets", json=body, headers=KEY).headers
        )
    client = agent.post("/api/clients", json={"full_name": "Ada"}, headers=KEY)

    assert client.status_code == 201
    assert count(Ticket) == 2


def test_another_body_under_the_same_key_is_refused(agent: Caller, body: Any) -> None:
    agent.post("/api/tickets", json=body, headers=KEY)

    other = agent.post("/api/tickets", json=body | {"subject": "Other"}, headers=KEY)

    assert other.status_code == 422
    assert list(other.json["errors"]) == ["Idempotency-Key"]
    assert count(Ticket) == 1


def test_a_refusal_is_not_kept(agent: Caller, body: Any) -> None:
    wrong = body | {"client_id": 424242}
    refused = agent.post("/api/tickets", json=wrong, headers=KEY)
    invalid = agent.post("/api/tickets", json={}, headers=KEY)

    right = agent.post("/api/tickets", json=body, headers=KEY)

    assert [a.status_code for a in (refused, invalid, right)] == [400, 400, 201]
    assert "Idempotent-Replayed" not in right.headers


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ñ", "a\tb", "a,b", ","])
def test_an_invalid_idempotency_key_is_refused(agent: Caller, body: Any, key: str) -> None:
    answer = agent.post("/api/tickets", json=body, headers={"Idempotency-Key": key})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == ["Idempotency-Key"]
    assert count(Ticket) == 0


def test_two_keys_are_refused(agent: Caller, body: Any, server: str) -> None:
    keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    sent = json.dumps(body).encode()
    lengths = [("Content-Type", JSON), ("Content-Length", str(len(sent)))]
    connection = HTTPConnection(server.removeprefix("http://"), timeout=10)

    connection.putrequest("POST", "/api/tickets")
    for header in (*agent.headers.items(), *keys, *lengths):
        connection.putheader(*header)
    connection.endheaders(sent)
    answer = connection.getresponse()

    assert (answer.status, list(json.load(answer)["errors"])) == (400, ["Idempotency-Key"])
    assert count(Ticket) == 0
    connection.close()


@pytest.mark.parametrize(
    "text",
    [
        '{{"subject":"H\\u00e9lp","client_id":{0}}}',
        ' {{ "client_id" : {0},\n\t"subject" : "Hélp" }}\r\n',
        '{{"client_id":{0},"\\u0073ubject":"Hélp"}}',
    ],
)
def test_the_same_body_written_otherwise_is_replayed(agent: Caller, body: Any, text: str) -> None:
    first = agent.post("/api/tickets", json=body | {"subject": "Hélp"}, headers=KEY)

    written = text.format(body["client_id"]).encode()
    again = agent.post("/api/tickets", data=written, content_type=JSON, headers=KEY)

    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count(Ticket) == 1


def test_a_new_api_token_is_made_once_and_shown_once(agent: Caller) -> None:
    new = {"name": "Relay", "scopes": ["tickets:read"], "password": PASSWORD}
    first, again = (agent.post("/api/tokens", json=new, headers=KEY) for _ in range(2))

    token = first.json["token"]
    assert token.startswith("odk_")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json | {"token": None}
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Cache-Control"] == "no-store"
    assert count(ApiToken) == 1
    kept = db.session.scalars(select(IdempotencyKey)).one()
    assert PASSWORD not in f"{kept.body} {kept.headers}"
    assert token not in f"{kept.body} {kept.headers} {kept.fingerprint}"
    db.session.rollback()


@pytest.mark.parametrize("key", ["~", "x" * 255, "0d5c64d2-6b67-4cb7-9b3e-0f2a3f4f1f6e"])
def test_any_other_idempotency_key_is_accepted(agent: Caller, body: Any, key: str) -> None:
    for _ in range(2):
        answer = agent.post("/api/tickets", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 201
    assert count(Ticket) == 1


def test_a_key_is_forgotten_after_a_day(app: Any, agent: Caller, body: Any) -> None:
    agent.post("/api/tickets", json=body, headers=KEY)
    agent.post("/api/tickets", json=body, headers={"Idempotency-Key": "other"})
    yesterday = utcnow() - timedelta(hours=24, seconds=1)
    db.session.execute(update(IdempotencyKey).values(created_at=yesterday))
    db.session.commit()

    again = agent.post("/api/tickets", json=body, headers=KEY)
    pruned = app.test_cli_runner().invoke(args=["prune"])

    assert "Idempotent-Replayed" not in again.headers
    assert "1 idempotency keys" in pruned.output
    assert count(IdempotencyKey) == 1
    assert count(Ticket) == 3


def test_no_password_is_kept(admin: Caller) -> None:
    new = {"full_name": "New", "username": "new", "password": "ClearTextPassword!"}
    admin.post("/api/users", json=new, headers=KEY)

    kept = db.session.scalars(select(IdempotencyKey)).one()

    assert "ClearTextPassword!" not in f"{kept.body} {kept.headers}"
    assert "argon2" not in (kept.body or "")
    db.session.rollback()


def test_twenty_at_once_make_one_row(server: str, agent: Caller, body: Any) -> None:
    def send(_: int) -> requests.Response:
        headers = agent.headers | KEY
        return requests.post(f"{server}/api/tickets", json=body, headers=headers, timeout=30)

    answers = run_concurrently(20, send)

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[201] + statuses[409] == 20
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    replayed = [answer for answer in answers if "Idempotent-Replayed" in answer.headers]
    assert len(replayed) == statuses[201] - 1
    assert count(Ticket) == 1
    assert count(User) == 1
