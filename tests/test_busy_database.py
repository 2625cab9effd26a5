"""A database that is busy, slow or lost: who is answered all the same, and who is told to retry."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from sqlite3 import OperationalError, connect
from threading import Thread
from time import sleep
from typing import Any

import pytest
from flask import Flask, Response
from sqlalchemy import Connection, QueuePool, create_engine, select, text, update

from omnidesk import health
from omnidesk.auth.models import UserSession
from omnidesk.clients.models import Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, sqlite, utcnow
from omnidesk.db.session import READ
from omnidesk.db.sqlite_files import DatabaseFiles
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User
from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    on_postgresql,
    on_sqlite,
    recorded_statements,
)

UNAVAILABLE = {"detail": "Service Unavailable"}
READS = (
    "/api/tickets",
    "/api/tickets?tag=vip&status=abierto",
    "/api/tickets/1",
    "/api/tickets/1/history",
    "/api/tickets/1/comments",
    "/api/tags",
    "/api/events",
    "/api/users",
    "/api/clients",
    "/api/clients/1",
    "/api/conversations",
    "/api/conversations/1/messages",
    "/api/summary",
    "/api/changes",
    "/api/me",
    "/readyz",
)


def impatient(options: dict[str, Any], **settings: object) -> dict[str, Any]:
    """Return the options of an engine that waits a tenth of a second, by PostgreSQL's settings."""
    changed = options | {"pool_timeout": 0.1}
    if connect_args := options.get("connect_args"):
        changed["connect_args"] = connect_args | {"settings": connect_args["settings"] | settings}
    return changed


@pytest.fixture
def hasty(
    app: Flask,
    app_with: Callable[..., Flask],
    agent: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> Caller:
    """The agent, calling an app that gives up on a busy database after a tenth of a second.

    It waits longer for what it reads, which is to succeed on a slow machine, too.
    """
    config = app.config
    other = app_with(
        SQLALCHEMY_ENGINE_OPTIONS=impatient(config["SQLALCHEMY_ENGINE_OPTIONS"], lock_timeout=100),
        SQLALCHEMY_BINDS=config["SQLALCHEMY_BINDS"]
        | {READ: impatient(config["SQLALCHEMY_BINDS"][READ], statement_timeout=1000)},
    )
    monkeypatch.setattr(sqlite, "MAX_WAIT", 0.1)
    return Caller(other, agent.user)


@contextmanager
def all_connections(app: Flask, name: str | None) -> Iterator[None]:
    """Use up the pool of an engine."""
    with app.app_context(), ExitStack() as stack:
        engine = db.engines[name]
        for _ in range(engine.pool.size()):  # type: ignore[attr-defined]
            stack.callback(engine.raw_connection().close)
        yield


@contextmanager
def another_writer() -> Iterator[Connection]:
    """A transaction of another process, which is rolled back in the end."""
    engine = create_engine(db.engine.url)
    with engine.connect() as connection:
        yield connection
        connection.rollback()
    engine.dispose()


@on_sqlite
def test_who_waits_for_the_writer_sleeps(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    get = QueuePool._do_get

    def counted(pool: Any) -> Any:
        looked.append(1)
        return get(pool)

    monkeypatch.setattr(QueuePool, "_do_get", counted)
    engine, held = db.engine, db.engine.raw_connection()
    waiting = Thread(target=lambda: engine.raw_connection().close())
    waiting.start()
    sleep(3 * sqlite.STEP)
    held.close()
    waiting.join()

    assert len(looked) < 10


@pytest.mark.parametrize("path", ["/api/tickets", "/api/tickets/1", "/api/summary", "/readyz"])
def test_a_read_without_a_free_connection_is_503(hasty: Caller, path: str) -> None:
    make_ticket()

    with all_connections(hasty.app, READ):
        refused = hasty.get(path)

    assert (refused.status_code, refused.json) == (503, UNAVAILABLE)
    assert int(refused.headers["Retry-After"]) > 0
    health.readiness_at.cache_clear()  # as after a second
    assert hasty.get(path).status_code == 200


def test_a_write_without_a_free_connection_is_503(hasty: Caller) -> None:
    body = {"full_name": "Ada"}

    with all_connections(hasty.app, None):
        refused = hasty.post("/api/clients", json=body)
        read = hasty.get("/api/clients")

    assert (refused.status_code, refused.json) == (503, UNAVAILABLE)
    assert int(refused.headers["Retry-After"]) > 0
    assert (read.status_code, read.json) == (200, [])
    assert hasty.post("/api/clients", json=body).status_code == 201


def test_a_login_without_a_free_connection_is_503(hasty: Caller) -> None:
    body = {"username": hasty.user.username, "password": "correct horse"}

    with all_connections(hasty.app, None):
        assert hasty.post("/api/login", json=body).status_code == 503

    assert hasty.post("/api/login", json=body).status_code == 200


def test_readers_are_answered_while_a_writer_is_busy(hasty: Caller) -> None:
    ticket = make_ticket()
    make_event()
    make_message(make_conversation(client_id=ticket.client_id))
    before = {path: hasty.get(path).json for path in READS}

    with another_writer() as writer:
        for model in (Ticket, Client, Event, Conversation, User):
            writer.execute(update(model).values(version=model.version + 1))
        meanwhile = {path: hasty.get(path) for path in READS}
        refused = hasty.patch("/api/tickets/1", json={"subject": "Other"})

    assert {path: answer.status_code for path, answer in meanwhile.items()} == dict.fromkeys(
        READS, 200
    )
    assert {path: answer.json for path, answer in meanwhile.items()} == before
    assert (refused.status_code, refused.json) == (503, UNAVAILABLE), "the row was locked"
    assert hasty.patch("/api/tickets/1", json={"subject": "Other"}).status_code == 200


@on_postgresql
def test_a_read_is_sent_again_where_its_connection_was_lost(
    app_with: Callable[..., Flask], agent: Caller, database_url: str
) -> None:
    make_ticket()
    caller = Caller(app_with(DATABASE_URL=f"{database_url}?application_name=lost"), agent.user)
    with all_connections(caller.app, READ), all_connections(caller.app, None):
        pass  # all connections are open now
    assert caller.get("/api/tickets").status_code == 200, "and one of them is kept for reading"

    lost = lose_connections()
    with recorded_statements() as run:
        answer = caller.get("/api/tickets")

    assert lost == 8
    assert (answer.status_code, len(answer.json)) == (200, 1)
    token, again, tickets = run
    assert token == again, "the first statement was sent to a lost connection, and then to a new"
    assert "FROM ticket" in tickets
    lose_connections()
    assert caller.post("/api/clients", json={"full_name": "Ada"}).status_code == 201


@on_sqlite
def test_a_write_finds_a_moment_beside_a_process_that_writes_all_the_time(
    agent: Caller, database_url: str
) -> None:
    ended, written, passed_by = threading.Event(), list[int](), list[int]()

    def write() -> None:
        connection = connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        while not ended.is_set():
            connection.execute("BEGIN IMMEDIATE")
            sleep(0.02)
            connection.execute("COMMIT")
            written.append(1)
            sleep(0.0005)
        connection.close()

    writing = Thread(target=write)
    writing.start()
    try:
        for _ in range(8):
            before = len(written)
            assert agent.post("/api/clients", json={"full_name": "Ada"}).status_code == 201
            passed_by.append(len(written) - before)
            sleep(0.1)
    finally:
        ended.set()
        writing.join()

    assert sum(passed_by) < 150, passed_by


@on_postgresql
def test_an_answer_stays_where_the_connection_is_lost_after_it(
    app_with: Callable[..., Flask], agent: Caller, database_url: str
) -> None:
    app = app_with(DATABASE_URL=f"{database_url}?application_name=lost")
    caller, lost = Caller(app, agent.user), list[int]()

    @app.after_request
    def lose(response: Response) -> Response:
        with agent.app.app_context():
            lost.append(lose_connections())
        return response

    answers = [caller.patch("/api/tickets/1", json={"subject": "Other"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert all(lost)
    with app.app_context():
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def lose_connections() -> int:
    """End the connections of the app named `lost`, as a restart would; return how many."""
    ended = db.session.scalar(
        text(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE application_name = 'lost'"
        )
    )
    db.session.rollback()
    return int(ended or 0)


@on_postgresql
def test_a_read_that_took_too_long_is_not_sent_again(hasty: Caller) -> None:
    make_client()

    with another_writer() as writer, recorded_statements() as run:
        writer.execute(text("LOCK TABLE ticket IN ACCESS EXCLUSIVE MODE"))
        answer = hasty.get("/api/tickets")

    assert (answer.status_code, answer.json) == (503, UNAVAILABLE)
    assert len([sql for sql in run if "FROM ticket" in sql]) == 1
    assert hasty.get("/api/tickets").status_code == 200


@on_postgresql
def test_expired_sessions_are_pruned_without_waiting_for_those_who_end_them(agent: Caller) -> None:
    assert agent.token, "and a second session with it"
    ids = list(db.session.scalars(select(UserSession.session_id)))
    db.session.execute(update(UserSession).values(expires_at=utcnow()))
    db.session.commit()

    with another_writer() as writer:
        writer.execute(
            select(UserSession).where(UserSession.session_id == ids[0]).with_for_update()
        )
        pruned = UserSession.prune()
        db.session.commit()

    assert (len(ids), pruned) == (2, 1)
    assert UserSession.prune() == 1
    db.session.commit()


@on_sqlite
def test_a_commit_that_is_refused_leaves_nothing_locked(
    agent: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_files: Any) -> None:
        raise OperationalError("the files are gone")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseFiles, "check_quickly", refuse)
        refused = agent.post("/api/clients", json={"full_name": "Ada"})

    assert refused.status_code == 503
    assert agent.post("/api/clients", json={"full_name": "Grace"}).status_code == 201
    assert [row["full_name"] for row in agent.get("/api/clients").json] == ["Grace"]
