"""Fixtures and helpers: the app on each database, callers, and rows."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import Context
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from environs import Env
from flask import Flask
from sqlalchemy import event, insert, select, text

import config
from omnidesk import create_app, migrations
from omnidesk.auth import tokens
from omnidesk.auth.models import UserSession
from omnidesk.channels.models import Channel
from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.conversations.running_totals import RunningTotal
from omnidesk.db import Base, db, inserts, statements, utcnow
from omnidesk.db.change_log import Change
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import TicketTag
from omnidesk.users import passwords
from omnidesk.users.models import User
from tests import hooks, postgres
from tests.names import Names
from tests.postgres import free_port
from tests.servers import gunicorn, plain_site, start_nginx, wait_for

# A commit waits for a disk, but not for memory.
MEMORY = Path("/dev/shm")  # noqa: S108 - the folders made in it are of this user alone
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**31:
    tempfile.tempdir = str(MEMORY)

Row = TypeVar("Row", bound=Base)
PASSWORD = "correct horse"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin slow tests first: no worker is then left with one while the others are done.

    pytest-xdist gives the first of two workers the first half of the tests.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if item not in slow]
    here, there = slow[: len(slow) // 2], slow[len(slow) // 2 :]
    middle = len(items) // 2 - len(here)
    items[:] = [*here, *others[:middle], *there, *others[middle:]]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database on a PostgreSQL of our own."""
    with postgres.running() as url:
        yield url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: Any) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/desk.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


# For a table that is about something else than the database: whole on one, a sample on the other.
on_sqlite, on_postgresql = (
    pytest.mark.parametrize("database_url", [kind], indirect=True, scope="session")
    for kind in ("sqlite", "postgresql")
)


@pytest.fixture(scope="session")
def environment(database_url: str) -> dict[str, str]:
    """What a server of our own needs to know to work on the same database as the test."""
    ours = {"DATABASE_URL": database_url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"}
    return ours | hooks.SECRETS


# Tables whose rows migrations make.
KEPT = {"counter", "database_id"}
KEY = secrets.token_urlsafe(48)


def make_app(database_url: str, **settings: Any) -> Flask:
    """Return an app on a database."""
    with pytest.MonkeyPatch.context() as env:
        env.setenv("DATABASE_URL", database_url)
        env.setenv("SECRET_KEY", KEY)
        chosen = config.Testing(Env(eager=False))
    for name, value in settings.items():
        setattr(chosen, name, value)
    return create_app(chosen)


@pytest.fixture(scope="session")
def migrated_app(database_url: str) -> Iterator[Flask]:
    """The app on a database with the newest schema."""
    app = make_app(database_url)
    with app.app_context():
        migrations.upgrade()
        yield app
        dispose_engines()


@pytest.fixture(scope="session")
def server(migrated_app: Any, environment: dict[str, str], tmp_path_factory: Any) -> Iterator[str]:
    """The address of gunicorn with two workers, on the tests' own database."""
    with gunicorn(environment, tmp_path_factory.mktemp("gunicorn")) as address:
        yield address


@pytest.fixture(scope="session")
def four_workers(
    migrated_app: Any, environment: dict[str, str], tmp_path_factory: Any
) -> Iterator[str]:
    """The address of gunicorn with four workers, for races."""
    with gunicorn(environment, tmp_path_factory.mktemp("four_workers"), workers=4) as address:
        yield address


@pytest.fixture(scope="session")
def proxied_server(server: str) -> Iterator[str]:
    """The address of nginx in front of that server, with the site that is shipped, without TLS."""
    port, upstream = free_port(), urlsplit(server).port
    # Not in a folder of pytest's, which closes its own to others: nginx's workers are others.
    with TemporaryDirectory() as name:
        folder = Path(name) / "nginx"
        with start_nginx(plain_site(port, upstream), folder):
            wait_for(f"http://127.0.0.1:{port}/healthz", folder / "error.log")
            yield f"http://127.0.0.1:{port}"


QUIETLY = "SET LOCAL session_replication_role = replica"
NUMBER_ANEW = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"


@pytest.fixture
def app(migrated_app: Flask) -> Iterator[Flask]:
    """The app on a database without rows."""
    yield migrated_app
    db.session.remove()
    filled = [table for table in Base.metadata.sorted_tables if table.name not in KEPT]
    # What is deleted is logged, too.
    names = [table.name for table in [*reversed(filled), Change.__table__]]
    statements = [f"DELETE FROM {name}" for name in names]  # noqa: S608 - ours
    statements.append("UPDATE counter SET count = 0 WHERE count <> 0")
    statements.append("UPDATE database_id SET changes_after = 0 WHERE changes_after <> 0")
    with db.engine.begin() as connection:
        driver: Any = connection.connection.driver_connection  # which needs a tenth of the time
        if connection.dialect.name == "postgresql":
            # Many times quicker than TRUNCATE, which makes every table and index anew.
            driver.execute("; ".join([QUIETLY, *statements, NUMBER_ANEW]))
        else:
            for statement in [*statements, "DELETE FROM sqlite_sequence"]:
                driver.execute(statement)


@pytest.fixture
def app_with(app: Flask, database_url: str) -> Iterator[Callable[..., Flask]]:
    """Make further apps on the same database, with other settings."""
    with ExitStack() as afterwards:

        def make(**settings: Any) -> Flask:
            other = make_app(settings.pop("DATABASE_URL", database_url), **settings)
            with other.app_context():
                for engine in db.engines.values():
                    afterwards.callback(statements.read_pool(engine).clear)
            return other

        yield make


def dispose_engines() -> None:
    """Close the connections of the app."""
    for engine in db.engines.values():
        statements.read_pool(engine).clear()


@pytest.fixture(scope="session", autouse=True)
def _secrets_of_channels() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as env:
        for name, value in hooks.SECRETS.items():
            env.setenv(name, value)
        yield


class Caller:
    """Somebody who calls the API."""

    def __init__(self, app: Flask, user: Any = None) -> None:
        self.app = app
        self.user = user
        self.headers: dict[str, str] = {}
        if user:
            self.headers["Authorization"] = f"Bearer {self.token}"

    @property
    def token(self) -> str:
        """A new access token of this user's."""
        with self.app.app_context():
            session = UserSession.new(self.user.user_id, tokens.access_token_lifetime(), None, None)
            db.session.commit()
            return str(tokens.access_token(self.user, session)["access_token"])

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Call with any method: `caller.get("/api/tickets")`."""
        if method.startswith("_"):
            raise AttributeError(method)

        def call(path: str, headers: dict[str, str] | None = None, **kwargs: Any) -> Any:
            headers = self.headers | (headers or {})
            # A context without the test's own app context, as in a server.
            return Context().run(
                self.app.test_client().open,
                path,
                method=method.upper(),
                headers=headers,
                buffered=True,
                **kwargs,
            )

        return call


def version(answer: Any) -> int:
    """Return the version of the row that an answer shows, the last part of its ETag."""
    return int(answer.headers["ETag"].strip('"').rpartition("-")[2])


def save(row: Row) -> Row:
    """Store a row and return it."""
    db.session.add(row)
    db.session.commit()
    return row


def reload(row: Base) -> Any:
    """Return the row as the database has it now."""
    db.session.refresh(row)
    db.session.commit()
    return row


@cache
def password_hash() -> str:
    """Return a hash of PASSWORD. To make one takes longer than most tests."""
    return passwords.hash_password(PASSWORD)


def make_user(username: str = "emp1", *, active: bool = True, **fields: Any) -> User:
    """Store a user whose password is PASSWORD."""
    fields = {"full_name": "Somebody", "email": f"{username}@example.com"} | fields
    user = User.new(username=username, password_hash=password_hash(), **fields)
    user.active = active
    return save(user)


def make_client(**fields: Any) -> Client:
    """Store a client."""
    return save(Client(**({"full_name": "Ada Lovelace", "active": True} | fields)))


def make_identity(owner: Client | Conversation, **fields: Any) -> Identity:
    """Store an identity of a client, or of the client whom a conversation is with."""
    defaults = {"channel": "web", "external_user_id": f"user-{owner.client_id}"}
    return save(Identity(client_id=owner.client_id, **(defaults | fields)))


def make_ticket(client_id: int | None = None, **fields: Any) -> Ticket:
    """Store a ticket, of a new client unless one is given."""
    client_id = client_id or make_client().client_id
    defaults = {"subject": "Cannot login", "priority": "media", "status": "abierto"}
    return save(Ticket.new(client_id=client_id, **(defaults | fields)))


def make_tag(ticket: Ticket, tag: str = "vip") -> TicketTag:
    """Store a tag on a ticket."""
    return save(TicketTag(ticket_id=ticket.ticket_id, tag=tag))


def make_event(**fields: Any) -> Event:
    """Store an event."""
    now = utcnow().replace(microsecond=0)
    return save(Event(**({"title": "Call", "start_time": now, "end_time": now} | fields)))


def make_comment(**fields: Any) -> Comment:
    """Store a comment by a new user on a new ticket."""
    if "user_id" not in fields:
        fields["user_id"] = make_user("commenter").user_id
    if "ticket_id" not in fields:
        fields["ticket_id"] = make_ticket().ticket_id
    return save(Comment(**({"body": "Called back"} | fields)))


def make_channel(kind: str = "telegram", **fields: Any) -> Channel:
    """Store a channel of a type, which has the type as its name."""
    settings = {"whatsapp": {"phone_number_id": "1"}, "webhook": {"url": "https://example.com"}}
    setup: dict[str, Any] = {"type": kind, "settings": settings.get(kind, {}), "secrets": {}}
    state = {"channel": kind, "active": True, "bot_first": False}
    return save(Channel.new(**(setup | state | fields)))


def make_conversation(**fields: Any) -> Conversation:
    """Store a conversation of a new client's."""
    defaults = {"channel": "web", "active": True, "handled_by_bot": False}
    if "client_id" not in fields:
        defaults["client_id"] = make_client().client_id
    return save(Conversation(**(defaults | fields)))


def nested(depth: int) -> dict[str, Any]:
    """Return so many JSON objects in each other."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


def analyze() -> None:
    """Let PostgreSQL know its rows, as autovacuum does; SQLite knows no figures of them."""
    db.session.commit()
    if db.engine.name == "postgresql":
        db.session.execute(text("ANALYZE"))
        db.session.commit()


def make_message(conversation: Conversation, **fields: Any) -> Message:
    """Store a message in a conversation."""
    return save(conversation.new_message(**({"sender": "client", "content": "Hello"} | fields)))


def make_messages(conversation_id: int, *senders: str) -> list[int]:
    """Store a message of each of these senders in a conversation; return the ids of all in it."""
    said = {"conversation_id": conversation_id, "content": "Hello"}
    db.session.execute(insert(Message), [{"sender": sender, **said} for sender in senders])
    db.session.commit()
    ids = select(Message.message_id).filter_by(conversation_id=conversation_id)
    found = [*db.session.scalars(ids.order_by(Message.message_id))]
    db.session.commit()
    return found


def check_running_totals(conversation_id: int, most: int = 128) -> None:
    """Check how many messages of a client are kept; no more than so many are to be counted."""
    ids = select(Message.message_id).filter_by(conversation_id=conversation_id, sender="client")
    found = [*db.session.scalars(ids.order_by(Message.message_id))]
    totals = select(RunningTotal.message_id, RunningTotal.client_message_count)
    totals = totals.filter_by(conversation_id=conversation_id).order_by(RunningTotal.message_id)
    kept = [(0, 0), *map(tuple, db.session.execute(totals))]
    conversation = db.session.get_one(Conversation, conversation_id, populate_existing=True)
    assert conversation.client_message_count == len(found)
    assert kept == [(last, sum(number <= last for number in found)) for last, _ in kept]
    counts = [*(count for _, count in kept), len(found)]
    assert all(count - before <= most for before, count in pairwise(counts))
    db.session.commit()


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """Record the SQL that is run meanwhile, without what begins a transaction."""
    found: list[str] = []

    def record(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "SELECT set_config")):
            found.append(statement)

    def recording(engine: Any, sql: str, arguments: Any) -> Any:
        found.append(sql)
        return run(engine, sql, arguments)

    def recording_insert(engine: Any, driver: Any, sql: str, arguments: Any) -> Any:
        found.append(sql)
        return execute(engine, driver, sql, arguments)

    event.listen(db.engine, "before_cursor_execute", record)
    run, execute = statements.run, inserts.execute
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(statements, "run", recording)
            patch.setattr(inserts, "execute", recording_insert)
            yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", record)


@pytest.fixture
def anybody(app: Flask) -> Caller:
    """Somebody without a token."""
    return Caller(app)


@pytest.fixture
def agent(app: Flask) -> Caller:
    """An employee."""
    return Caller(app, make_user("emp1"))


@pytest.fixture
def admin(app: Flask) -> Caller:
    """An admin."""
    return Caller(app, make_user("admin1", role="admin"))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """A resolver in this process that finds what the test says."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names
