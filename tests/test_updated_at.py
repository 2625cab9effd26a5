"""When a ticket was last changed: by itself, by its tags or by its comments."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from omnidesk.comments.models import Comment
from omnidesk.db import db
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import TicketTag
from tests.conftest import Caller, make_client, make_comment, make_tag, make_ticket, version

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SHOWN = "2020-01-01T00:00:00Z"
PATH, COMMENT = "/api/tickets/1", "/api/comments/1"
Act = Callable[[Caller], Any]


@pytest.fixture
def ticket(agent: Caller) -> None:
    """A ticket with a tag and a comment that was last changed long ago."""
    ticket = make_ticket()
    make_tag(ticket, "vip")
    make_comment(ticket_id=ticket.ticket_id, user_id=agent.user.user_id, body="Called back")
    db.session.execute(update(Ticket).values(updated_at=LONG_AGO))
    db.session.commit()


def test_a_new_ticket_was_last_changed_when_it_was_opened(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "subject": "Help"}

    ticket = agent.post("/api/tickets", json=body).json

    assert ticket["updated_at"] == ticket["created_at"]


CHANGES: dict[str, Act] = {
    "a field": lambda agent: agent.patch(PATH, json={"subject": "Other"}),
    "its status": lambda agent: agent.patch(PATH, json={"status": "cerrado"}),
    "many tickets": lambda agent: agent.patch(
        "/api/tickets", json={"ticket_ids": [1], "set": {"priority": "baja"}}
    ),
    "a tag more": lambda agent: agent.put(f"{PATH}/tags/bug"),
    "a tag less": lambda agent: agent.delete(f"{PATH}/tags/vip"),
    "a new comment": lambda agent: agent.post(f"{PATH}/comments", json={"body": "New"}),
    "another comment": lambda agent: agent.patch(COMMENT, json={"body": "Other"}),
    "a comment less": lambda agent: agent.delete(COMMENT),
}


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_ticket_moves_its_time(agent: Caller, change: Act) -> None:
    before, rows = agent.get(PATH), agent.get("/api/tickets")

    answer = change(agent)

    assert answer.status_code in (200, 201, 204)
    after = agent.get(PATH)
    assert before.json["updated_at"] == SHOWN != after.json["updated_at"]
    assert version(after) == version(before) + 1
    same = {"If-None-Match": rows.headers["ETag"]}
    assert agent.get("/api/tickets", headers=same).json == [after.json]
    newest, *_ = agent.get(f"{PATH}/history").json
    assert newest["actor"] == agent.user.user_id
    assert newest["before"]["updated_at"] == SHOWN
    assert newest["after"]["updated_at"] == after.json["updated_at"]
    copies = {*db.session.scalars(select(TicketTag.updated_at))}
    assert copies <= {db.session.scalar(select(Ticket.updated_at))}


ANSWERED = [name for name in CHANGES if "comment" not in name and name != "many tickets"]


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("name", ANSWERED)
def test_a_change_is_answered_with_the_time_it_has_moved(agent: Caller, name: str) -> None:
    answer = CHANGES[name](agent)

    stored = agent.get(PATH)
    assert (answer.json, answer.headers["ETag"]) == (stored.json, stored.headers["ETag"])


NO_CHANGES: dict[str, Act] = {
    "the same fields": lambda agent: agent.patch(PATH, json={"priority": "media", "due_at": None}),
    "no fields": lambda agent: agent.patch(PATH, json={}),
    "the same of many": lambda agent: agent.patch(
        "/api/tickets", json={"ticket_ids": [1], "set": {"status": "abierto"}}
    ),
    "a tag that is there": lambda agent: agent.put(f"{PATH}/tags/vip"),
    "a tag that is not": lambda agent: agent.delete(f"{PATH}/tags/bug"),
    "the same comment": lambda agent: agent.patch(COMMENT, json={"body": "Called back"}),
}


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize("act", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_changes_nothing_leaves_the_time_as_it_is(agent: Caller, act: Act) -> None:
    before = agent.get(PATH)

    answer = act(agent)

    assert answer.status_code == 200
    after = agent.get(PATH)
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])
    assert after.json["updated_at"] == SHOWN


@pytest.mark.usefixtures("ticket")
def test_a_ticket_read_before_a_comment_is_not_changed_with_its_etag(agent: Caller) -> None:
    read = {"If-Match": agent.get(PATH).headers["ETag"]}
    agent.post(f"{PATH}/comments", json={"body": "New"})

    refused = agent.patch(PATH, json={"status": "cerrado"}, headers=read)

    assert refused.status_code == 412
    assert refused.json["current"] == agent.get(PATH).json


@pytest.mark.usefixtures("ticket")
def test_comments_of_one_millisecond_are_each_a_change_of_their_ticket(agent: Caller) -> None:
    def history() -> list[Any]:
        return list(agent.get(f"{PATH}/history?limit=200").json)

    before, logged = version(agent.get(PATH)), len(history())

    comments = [{"ticket_id": 1, "user_id": agent.user.user_id, "body": f"{n}"} for n in range(20)]
    db.session.add_all([Comment(**comment) for comment in comments])
    db.session.commit()

    assert version(agent.get(PATH)) == before + 20
    assert len(history()) == logged + 20
