"""A ticket has at most fifty tags: a trigger of the database keeps the rule for every writer."""

import json
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from omnidesk.db import db
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import MAX_TAGS, TicketTag
from tests.conftest import Caller, make_ticket
from tests.servers import run_concurrently


@pytest.fixture
def full(app: Any) -> int:
    """The number of a ticket with as many tags as it may have."""
    ticket_id = make_ticket().ticket_id
    tags = [{"ticket_id": ticket_id, "tag": f"tag-{number}"} for number in range(MAX_TAGS)]
    db.session.execute(insert(TicketTag), tags)
    db.session.commit()
    return ticket_id


def test_one_tag_more_is_refused_and_not_stored(agent: Caller, full: int) -> None:
    path = f"/api/tickets/{full}"
    before = agent.get(path)

    answer = agent.put(f"{path}/tags/more")

    assert answer.status_code == 400
    assert answer.json["errors"] == {"tag": ["A ticket has at most 50 tags."]}
    after = agent.get(path)
    assert (after.json, after.headers["ETag"]) == (before.json, before.headers["ETag"])
    assert "more" not in [row["tag"] for row in agent.get("/api/tags?limit=200").json]


def test_a_tag_that_is_there_can_be_put_on_a_full_ticket_again(agent: Caller, full: int) -> None:
    answer = agent.put(f"/api/tickets/{full}/tags/tag-7")

    assert (answer.status_code, len(answer.json["tags"])) == (200, MAX_TAGS)


def test_a_full_ticket_takes_another_tag_when_one_is_gone(agent: Caller, full: int) -> None:
    path = f"/api/tickets/{full}/tags"
    agent.delete(f"{path}/tag-7")

    answers = [agent.put(f"{path}/{tag}").status_code for tag in ("more", "most")]

    assert answers == [200, 400]


def test_another_ticket_may_have_as_many(agent: Caller, full: int) -> None:
    answer = agent.put(f"/api/tickets/{make_ticket().ticket_id}/tags/tag-7")

    assert answer.status_code == 200


def test_many_at_once_in_one_statement_are_all_refused(full: int) -> None:
    ticket_id = make_ticket().ticket_id
    rows = [{"ticket_id": ticket_id, "tag": f"tag-{number}"} for number in range(MAX_TAGS + 1)]

    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(insert(TicketTag).values(rows))

    assert not db.session.scalars(select(TicketTag).filter_by(ticket_id=ticket_id)).all()
    db.session.rollback()


def test_of_sixty_who_add_tags_at_once_fifty_succeed(app: Any) -> None:
    ticket_id = make_ticket().ticket_id
    engine = create_engine(db.engine.url, pool_size=20, max_overflow=0)

    def add(number: int) -> bool:
        new = insert(TicketTag).values(ticket_id=ticket_id, tag=f"tag-{number}")
        try:
            with engine.begin() as connection:
                connection.execute(new)
        except IntegrityError:
            return False
        return True

    succeeded = sum(run_concurrently(60, add))
    engine.dispose()

    stored = db.session.scalars(select(TicketTag.tag).filter_by(ticket_id=ticket_id)).all()
    shown = json.loads(db.session.get_one(Ticket, ticket_id).tags)
    db.session.rollback()
    assert succeeded == MAX_TAGS
    assert shown == sorted(stored)
    assert len(stored) == MAX_TAGS
