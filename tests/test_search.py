"""The words of rows and the text index, which the database keeps in the transaction of a change."""

from random import Random
from typing import Any

import pytest
from sqlalchemy import select, text, update

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.db import Base, Filters, db
from omnidesk.db.filters import parameter_values
from omnidesk.db.scans import ALL
from omnidesk.db.search import by_words
from omnidesk.db.statements import Statement
from omnidesk.db.words import SearchQuery
from omnidesk.http import words_filters
from omnidesk.sample_data import rows
from omnidesk.tickets import bulk
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_message,
    make_ticket,
    on_sqlite,
    save,
)
from tests.test_words import random_texts

SEARCHED = (Client, Ticket, Comment, Message)


def by_index(entity: type[Base], query: SearchQuery) -> list[int]:
    """Return the ids of rows that the text index finds, newest first."""
    values = words_filters(query)
    ids = by_words(entity, Filters(**values)).candidates(ALL)
    found = [row[0] for row in Statement(ids).fetch(**parameter_values(values))]
    return sorted(found, reverse=True)


def in_rows(entity: type[Base], query: SearchQuery) -> list[int]:
    """Return the ids of rows whose words contain all that is asked for, newest first."""
    criterion = by_words(entity, Filters(q=query.terms))
    having = select(entity.primary_key()).where(*criterion.conditions)
    found = [row[0] for row in Statement(having).fetch(**parameter_values({"q": query.terms}))]
    return sorted(found, reverse=True)


def found(entity: type[Base], text: str) -> list[int]:
    """Return the ids of rows with all that is asked for; the index must find them, too."""
    query = SearchQuery.parse(text)
    having, candidates = in_rows(entity, query), by_index(entity, query)
    assert having == candidates or (may_lack_some(query) and set(having) < set(candidates))
    return having


def may_lack_some(query: SearchQuery) -> bool:
    """Return whether what the index finds may lack something that is asked for."""
    return bool(query.phrases) or (db.engine.name == "sqlite" and len(query.terms) > 1)


def make_each(text: str) -> dict[type[Base], Base]:
    """Store one row of each kind with this text."""
    rows: dict[type[Base], Base] = {
        Client: make_client(full_name=text),
        Ticket: make_ticket(1, subject=text),
        Comment: make_comment(body=text, ticket_id=1),
        Message: make_message(make_conversation(client_id=1), content=text),
    }
    db.session.refresh(rows[Ticket])  # which the comment has changed
    return rows


@pytest.mark.parametrize("entity", SEARCHED)
def test_rows_are_found_by_their_words(app: Any, entity: type[Base]) -> None:
    make_each("El camión, roto")

    for query in ("camion", "ROTO el", "cam", '"camión roto"', "camion rot", "e\u0301l"):
        assert found(entity, query) == [1], query
    for query in ("amion", "rot camion", "camiones", "camion azul", "ro"):
        assert found(entity, query) == [], query


@pytest.mark.parametrize("entity", SEARCHED)
def test_a_changed_row_is_found_by_its_new_words_only(app: Any, entity: type[Base]) -> None:
    row: Any = make_each("first")[entity]
    setattr(row, entity.__table__.c.words.info["derived"][1][0], "second")
    save(row)

    assert found(entity, "first") == []
    assert found(entity, "second") == [1]


@pytest.mark.parametrize("entity", [Comment, Message])
def test_a_deleted_row_is_not_found(app: Any, entity: type[Base]) -> None:
    db.session.delete(make_each("first")[entity])
    db.session.commit()

    assert found(entity, "first") == []


def test_a_change_that_is_rolled_back_is_not_found(app: Any) -> None:
    ticket = make_ticket(subject="first")
    ticket.subject = "second"
    db.session.flush()
    db.session.rollback()

    assert found(Ticket, "second") == []
    assert found(Ticket, "first") == [1]


def test_tickets_that_are_changed_together_are_found_by_their_new_words(agent: Caller) -> None:
    ids = [make_ticket(description=each).ticket_id for each in ("red", "green", None)]

    answer = agent.patch("/api/tickets", json={"ticket_ids": ids[1:], "set": {"subject": "Blue"}})

    assert answer.status_code == 200
    assert found(Ticket, "blue") == [3, 2]
    assert found(Ticket, "blue green") == [2]
    assert found(Ticket, "login") == found(Ticket, "red") == [1]
    agent.patch("/api/tickets", json={"ticket_ids": ids, "set": {"description": None}})
    assert found(Ticket, "green") == []


def test_a_phrase_is_within_one_text(app: Any) -> None:
    make_ticket(subject="red green", description="blue black")

    assert found(Ticket, '"red green"') == [1]
    query = SearchQuery.parse('"green blue"')
    assert in_rows(Ticket, query) == []
    assert by_index(Ticket, query) == [1]


@pytest.mark.parametrize(
    ("entity", "others"),
    [
        (Client, {}),
        (Ticket, {"clients": range(1, 9), "users": range(1, 9)}),
        (Comment, {"tickets": range(1, 9), "users": range(1, 9)}),
        (Message, {"chats": range(1, 9)}),
    ],
)
def test_rows_in_bulk_have_the_words_of_their_texts(entity: Any, others: dict[str, range]) -> None:
    make, names = entity.__table__.c.words.info["derived"]
    rng = Random(7)  # noqa: S311 - repeatable

    for row in rows.MAKERS[entity](range(1, 30), rng, rows.time_of, **others):
        assert row["words"] == make(*(row[name] for name in names)) != ""


def test_a_text_of_any_length_is_stored_and_found(agent: Caller) -> None:
    make_client()
    many = " ".join(f"{number:x}" for number in range(13_500))
    for description in (many, "ﷺ" * 65_536, "x" * 65_536, "㌖ " * 32_768):
        made = agent.post(
            "/api/tickets", json={"client_id": 1, "subject": "Long", "description": description}
        )
        assert made.status_code == 201, made.json

    assert found(Ticket, "long") == [4, 3, 2, 1]
    assert found(Ticket, "abc 1def") == [1]
    assert found(Ticket, "x" * 70) == [3]


def test_any_text_can_be_searched_for(app: Any) -> None:
    make_client()
    asked = random_texts(300)
    for each in asked[:30]:
        subject = each.translate({0: None, 0xD800: None})
        make_ticket(1, subject=f"{subject} x{subject}")

    for each in asked:
        query = SearchQuery.parse(each)
        if query.terms:
            found(Ticket, each)


@on_sqlite
def test_a_change_of_anything_else_leaves_the_index_as_it_is(app: Any) -> None:
    ticket = make_ticket()
    before = index_pages()

    ticket.change(status="cerrado", priority="alta")
    save(ticket)
    bulk.change_all([1], status="abierto")
    db.session.execute(update(Ticket).values(words=Ticket.words))
    db.session.commit()

    assert index_pages() == before


def index_pages() -> list[Any]:
    """Return all that SQLite's index of tickets consists of."""
    pages = db.session.execute(text("SELECT id, block FROM ticket_search_data")).all()
    db.session.rollback()
    return [tuple(row) for row in pages]
