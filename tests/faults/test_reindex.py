"""The text index is made anew and merged by commands, beside a running server."""

from collections.abc import Callable
from contextvars import Context
from random import Random
from threading import Event, Thread
from time import sleep
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DatabaseError

from omnidesk.comments.models import Comment
from omnidesk.db import db
from omnidesk.db.sqlite import waiting_at_most
from omnidesk.db.words import SearchQuery, words
from omnidesk.operations import text_index
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_ticket,
    make_user,
    on_sqlite,
    save,
)
from tests.test_search import SEARCHED, by_index, found, make_each

CHECK = "INSERT INTO {0} ({0}, rank) VALUES ('integrity-check', 1)"
EMPTY = "INSERT INTO {0} ({0}) VALUES ('delete-all')"
WORDS = ("red", "green", "blue", "black", "ñandú")


def run(app: Flask, command: str) -> Any:
    """Run a command in this process."""
    return Context().run(app.test_cli_runner().invoke, args=[command])


def check_index() -> None:
    """Raise DatabaseError where SQLite's index does not have just the words of the rows."""
    if db.engine.name == "sqlite":
        for entity in SEARCHED:
            name = f"{entity.__tablename__}_search"
            db.session.execute(text(CHECK.format(name)))
        db.session.rollback()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command need many transactions for few rows."""
    for name, value in (("BATCH", 20), ("STEP", 1000), ("PAGES", 1)):
        monkeypatch.setattr(text_index, name, value)


def test_reindex_mends_words_and_index(app: Flask) -> None:
    make_each("red")
    for entity in SEARCHED:
        db.session.execute(update(entity).values(words=" wrong "))
    db.session.commit()
    if db.engine.name == "sqlite":
        for entity in SEARCHED:
            name = f"{entity.__tablename__}_search"
            db.session.execute(text(EMPTY.format(name)))
        db.session.commit()

    result = run(app, "reindex")

    assert result.exit_code == 0, result.output
    check_index()
    for entity in SEARCHED:
        assert found(entity, "red") == [1]
        assert found(entity, "wrong") == []


@pytest.mark.usefixtures("small_steps")
def test_reindex_misses_nothing_that_is_written_or_read_meanwhile(app: Flask) -> None:
    make_client()
    user_id = make_user().user_id
    ids = [make_ticket(1, subject=f"always {word}").ticket_id for word in WORDS * 8]
    stop = Event()
    failed: list[BaseException] = []
    threads = [
        Thread(target=repeat, args=(app, work, stop, failed))
        for work in (lambda rng: write(rng, user_id), lambda _: read(ids))
    ]
    for thread in threads:
        thread.start()

    result = run(app, "reindex")
    stop.set()
    for thread in threads:
        thread.join()

    assert result.exit_code == 0, result.output
    assert failed == []
    check_index()
    assert len(db.session.scalars(select(Ticket.ticket_id)).all()) > len(ids)
    entities: tuple[Any, ...] = (Ticket, Comment)
    for entity in entities:
        rows = db.session.scalars(select(entity)).all()
        for word in WORDS:
            expected = [row for row in rows if words(word) in row.words]
            assert found(entity, f'"{word}"') == sorted(map(row_id, expected), reverse=True)


def row_id(row: Any) -> int:
    """Return the id of a row."""
    return int(getattr(row, row.primary_key().name))


def repeat(
    app: Flask, work: Callable[[Random], None], stop: Event, failed: list[BaseException]
) -> None:
    """Do some work until it is to stop, or has failed."""
    rng = Random(1)  # noqa: S311 - repeatable, not secret
    with app.app_context():
        try:
            while not stop.is_set():
                work(rng)
        except BaseException as error:  # noqa: BLE001 - the test shows it
            failed.append(error)
        finally:
            db.session.remove()


def write(rng: Random, user_id: int) -> None:
    """Add, change and delete rows, each in a transaction of its own."""
    ticket = make_ticket(1, subject=rng.choice(WORDS))
    other = db.session.get(Ticket, rng.randint(1, ticket.ticket_id))
    if other:
        other.description = rng.choice(WORDS)
        db.session.commit()
    comment = make_comment(body=rng.choice(WORDS), ticket_id=1, user_id=user_id)
    if rng.random() < 0.5:
        db.session.execute(delete(Comment).filter_by(comment_id=comment.comment_id))
        db.session.commit()
    db.session.remove()
    sleep(0.01)


def read(ids: list[int]) -> None:
    """Look for rows that are always there."""
    rows = by_index(Ticket, SearchQuery.parse("always"))
    assert [each for each in rows if each in ids] == ids[::-1]


@on_sqlite
def test_a_damaged_index_keeps_no_other_writers_out_and_is_mended(
    app: Flask, agent: Caller
) -> None:
    ticket = make_ticket()
    db.session.execute(text(EMPTY.format("ticket_search")))
    db.session.commit()

    answer = agent.patch("/api/tickets/1", json={"subject": "Other"})
    ticket.subject = "Other"
    with pytest.raises(DatabaseError) as error:  # which refers to the cursor
        db.session.commit()
    db.session.rollback()

    assert answer.status_code == 503
    assert error
    with waiting_at_most(0.1):
        make_client()
    assert run(app, "reindex").exit_code == 0
    assert agent.patch("/api/tickets/1", json={"subject": "Other"}).status_code == 200


@on_sqlite
@pytest.mark.usefixtures("small_steps")
def test_after_an_interrupted_reindex_another_one_completes(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word in WORDS:
        make_ticket(subject=word)
    with monkeypatch.context() as patch:
        patch.setattr(text_index, "merge", None)
        with pytest.raises(TypeError):
            text_index.reindex()
    save(make_ticket(subject="red"))
    check_index()

    assert run(app, "reindex").exit_code == 0

    check_index()
    assert found(Ticket, "red") == [6, 1]
    names = db.session.scalars(text("SELECT name FROM sqlite_master")).all()
    assert not [name for name in names if "_search_new" in name or "_search_old" in name]
    db.session.rollback()


@on_sqlite
def test_reindex_misses_no_row_that_comes_last(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ticket(subject="red")
    monkeypatch.setattr(text_index, "batches", lambda *_: iter(()))  # as if it had come later

    text_index.reindex()

    check_index()
    assert found(Ticket, "red") == [1]


@on_sqlite
def test_prune_merges_what_writers_have_added(app: Flask) -> None:
    for word in WORDS * 3:
        make_ticket(subject=word)
    before = segments()

    result = run(app, "prune")

    assert result.exit_code == 0
    assert segments() < before / 2
    check_index()
    assert found(Ticket, "red") == [11, 6, 1]


def segments() -> int:
    """Return how many parts the index of tickets consists of."""
    count = db.session.scalar(text("SELECT count(DISTINCT segid) FROM ticket_search_idx")) or 0
    db.session.rollback()
    return count
