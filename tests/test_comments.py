"""What staff notes on tickets, for each other."""

from typing import Any

import pytest

from omnidesk.db import db
from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_ticket,
    recorded_statements,
    version,
)


@pytest.fixture
def address(app: Any) -> str:
    """Where the comments on a ticket are."""
    return f"/api/tickets/{make_ticket().ticket_id}/comments"


def test_a_new_comment_has_its_author(agent: Caller, address: str) -> None:
    made = agent.post(address, json={"body": "Called back"})

    assert made.status_code == 201
    assert made.json == {
        "comment_id": made.json["comment_id"],
        "ticket_id": 1,
        "user_id": agent.user.user_id,
        "body": "Called back",
        "created_at": made.json["created_at"],
        "edited_at": None,
    }
    assert agent.get(made.headers["Location"]).json == made.json


def test_comments_are_listed_oldest_first(agent: Caller, address: str) -> None:
    for body in ("one", "two", "three"):
        agent.post(address, json={"body": body})
    make_comment(user_id=agent.user.user_id)

    assert [comment["body"] for comment in agent.get(address).json] == ["one", "two", "three"]


def test_a_ticket_without_comments_has_an_empty_list(agent: Caller, address: str) -> None:
    assert agent.get(address).json == []


@pytest.mark.parametrize("method", ["get", "post"])
def test_comments_of_no_ticket_are_404(agent: Caller, method: str) -> None:
    body = {"json": {"body": "x"}} if method == "post" else {}

    assert getattr(agent, method)("/api/tickets/424242/comments", **body).status_code == 404


def test_its_author_edits_a_comment(agent: Caller, address: str) -> None:
    path = agent.post(address, json={"body": "Called back"}).headers["Location"]

    same = agent.patch(path, json={"body": "Called back"})
    edited = agent.patch(path, json={"body": "Called back twice"})

    assert same.json["edited_at"] is None
    assert edited.json["body"] == "Called back twice"
    assert edited.json["edited_at"] is not None
    assert agent.get(path).json == edited.json


def test_its_ticket_is_locked_first_on_postgresql_alone(agent: Caller, address: str) -> None:
    path = agent.post(address, json={"body": "Called back"}).headers["Location"]

    with recorded_statements() as run:
        agent.patch(path, json={"body": "Called back twice"})

    locks = [sql for sql in run if "FROM ticket" in sql]
    assert len(locks) == (db.engine.name == "postgresql")


def test_only_its_author_and_admins_edit_a_comment(agent: Caller, admin: Caller) -> None:
    path = f"/api/comments/{make_comment().comment_id}"

    assert agent.patch(path, json={"body": "x"}).status_code == 403
    assert agent.delete(path).status_code == 403
    assert admin.patch(path, json={"body": "x"}).json["body"] == "x"
    assert admin.delete(path).status_code == 204
    assert admin.get(path).status_code == 404


def test_comments_need_a_token_even_where_tickets_do_not(anybody: Caller, address: str) -> None:
    path = f"/api/comments/{make_comment().comment_id}"

    assert anybody.get(address).status_code == 401
    assert anybody.get(path).status_code == 401
    assert anybody.post(address, json={"body": "x"}).status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("body", ""),
        ("body", " \u200b"),
        ("body", "x" * 65_537),
        ("body", None),
        ("user_id", 1),
        ("ticket_id", 1),
        ("edited_at", None),
    ],
)
def test_a_comment_with_a_fault_is_refused_by_name(
    agent: Caller, address: str, field: str, value: object
) -> None:
    path = agent.post(address, json={"body": "Called back"}).headers["Location"]

    for answer in (
        agent.post(address, json={"body": "x"} | {field: value}),
        agent.patch(path, json={field: value}),
    ):
        assert answer.status_code == 400
        assert list(answer.json["errors"]) == [field]


def test_a_change_and_a_comment_are_one_request(agent: Caller, address: str) -> None:
    ticket = address.removesuffix("/comments")
    body = {"status": "cerrado", "comment": "It was the router."}

    answer = agent.patch(ticket, json=body)

    assert (answer.status_code, answer.json["status"]) == (200, "cerrado")
    assert "comment" not in answer.json
    assert answer.json == agent.get(ticket).json
    assert answer.headers["ETag"] == agent.get(ticket).headers["ETag"]
    (comment,) = agent.get(address).json
    assert comment["body"] == "It was the router."
    assert comment["user_id"] == agent.user.user_id
    assert agent.get(f"/api/comments/{comment['comment_id']}").json == comment
    found = agent.get('/api/tickets?q="the router"').json
    assert [row["ticket_id"] for row in found] == [answer.json["ticket_id"]]


def test_a_comment_alone_is_a_change(agent: Caller, address: str) -> None:
    ticket = address.removesuffix("/comments")
    before = agent.get(ticket)

    after = agent.patch(ticket, json={"comment": "x"})

    assert version(after) == version(before) + 1
    assert after.json | {"updated_at": None} == before.json | {"updated_at": None}
    assert len(agent.get(address).json) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"comment": ""}, {}, 400),
        ({"comment": " "}, {}, 400),
        ({"comment": None}, {}, 400),
        ({"comment": "x" * 65_537}, {}, 400),
        ({"comment": ["x"]}, {}, 400),
        ({"comment": "x", "assigned_to": 424242}, {}, 400),
        ({"comment": "x", "client_id": 424242}, {}, 400),
        ({"comment": "x", "status": "cerrado"}, {"If-Match": '"old"'}, 412),
    ],
)
def test_nothing_is_stored_of_a_change_that_is_refused(
    agent: Caller, address: str, body: Any, headers: dict[str, str], status: int
) -> None:
    ticket = address.removesuffix("/comments")
    before = agent.get(ticket).json

    answer = agent.patch(ticket, json=body, headers=headers)

    assert answer.status_code == status
    assert agent.get(ticket).json == before
    assert agent.get(address).json == []


def test_a_new_ticket_takes_no_comment(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "subject": "x", "comment": "x"}

    answer = agent.post("/api/tickets", json=body)

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["comment"])
