"""Seeded databases to measure on, and how much to measure."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from tests.postgres import running as running_postgres
from tests.servers import ROOT, environ

KEY = "a key of the benchmarks' own, of 32 bytes and more"
PASSWORD = "correct horse battery"
COUNTED = "1000000 per minute"  # counted, but never exceeded
OPEN = "events,tickets,conversations,clients"
DURABLE = ("max_connections=100",)  # PostgreSQL's own defaults wait for the disk


class Plan(NamedTuple):
    """How much is measured."""

    sizes: tuple[int, ...]  # numbers of tickets, ascending
    rounds: int
    seconds: float  # of load in a round
    warm: int  # rounds before those that count
    asked: int  # requests behind one median of the growth part
    requests: int  # in which memory may not grow
    writing: float  # seconds
    tokens: int  # for the row that varies them
    cores: tuple[int, int] = (0, 1)  # for the servers, and for the load


def settings(database_url: str, reads: str = OPEN, limit: str = COUNTED) -> dict[str, str]:
    """Return a server's environment; `reads` lists what may be read without a token."""
    return {
        "DATABASE_URL": database_url,
        "SECRET_KEY": KEY,
        "PUBLIC_READS": reads,
        "RATE_LIMIT_TOKEN": limit,
        "RATE_LIMIT_ANONYMOUS": limit,
    }


def run(checkout: Path, database_url: str, *command: str) -> None:
    """Run a program of a checkout's virtual environment on a database; raise if it fails."""
    program, *arguments = command
    development = {"OMNIDESK_ENV": "development"}  # in which `seed` does not ask
    subprocess.run(
        [checkout / ".venv" / "bin" / program, *arguments],
        env=environ(settings(database_url) | development),
        cwd=checkout,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def connect(database_url: str) -> Any:
    """Return a connection of the driver, without the application."""
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        connection.create_function("acting_user", 0, lambda: None)  # the change log calls it
        connection.create_function("logged_operation", 0, lambda: None)
        return connection
    return psycopg.connect(database_url)


Create = Callable[..., str]


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[Create]:
    """Yield a function that creates a database, empty or as a copy, and returns its URL."""
    if kind == "SQLite":
        yield lambda name, template="": create_sqlite(folder, name, template)
        return
    with running_postgres(DURABLE) as url:
        yield lambda name, template="": create_postgresql(url, name, template)


def create_sqlite(folder: Path, name: str, template: str) -> str:
    """Return the URL of a new file, a copy of the template's if there is one."""
    path = folder / f"{name}.db"
    if template:
        source = template.removeprefix("sqlite:///")
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(source, path)
    return f"sqlite:///{path}"


def create_postgresql(url: str, name: str, template: str) -> str:
    """Create a database on a server and return its URL; nobody may be using the template."""
    source = template.rpartition("/")[2] or "template1"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    return f"{url.rpartition('/')[0]}/{name}"


class Desks:
    """Databases by their number of tickets, each seeded when it is first used.

    They are seeded by the commands of one checkout of this repository. `before` has those of
    another checkout, if there is one to compare with; they are copies if that is the same one.
    """

    name, checkout = "desk", ROOT
    comments = True  # whether there are any
    before: "Before | None" = None

    def __init__(self, create: Create, before: Path | None = None) -> None:
        self.create = create
        self.urls: dict[int, str] = {}
        if before:
            self.before = Before(create, before, self)

    def __getitem__(self, size: int) -> str:
        if size not in self.urls:
            self.urls[size] = self.seeded(size)
        return self.urls[size]

    def empty(self) -> str:
        """Return the URL of a database with a schema and one admin, but no rows."""
        if 0 not in self.urls:
            url = self.urls[0] = self.create(f"{self.name}_empty")
            flask = ("flask", "--app", "wsgi")
            run(self.checkout, url, *flask, "init-db")
            user = ("bench", "--role", "admin", "--password", PASSWORD)
            run(self.checkout, url, *flask, "create-user", *user)
        return self.urls[0]

    def seeded(self, size: int) -> str:
        """Create a database with that many tickets and messages, and return its URL."""
        print(f"seeding {size:,} tickets: {self.name}", flush=True)
        url = self.create(f"{self.name}_{size}", self.empty())
        rows = ["--tickets", str(size), "--messages", str(size), "--events", str(size // 10)]
        rows += ["--comments", str(size)] if self.comments else []
        run(self.checkout, url, "flask", "--app", "wsgi", "seed", *rows)
        run(self.checkout, url, "flask", "--app", "wsgi", "prune")  # merges the text index
        concentrate(url, size)
        run(self.checkout, url, "flask", "--app", "wsgi", "recount")  # after messages were moved
        return url

    def copy(self, size: int, name: str) -> str:
        """Return the URL of a copy of a seeded database, which nobody may be using."""
        return self.create(name, self[size])


class Before(Desks):
    """Databases of another checkout."""

    name = "before"
    comments = False  # which its command may not know

    def __init__(self, create: Create, checkout: Path, after: Desks) -> None:
        super().__init__(create)
        self.checkout, self.after = checkout, after

    def seeded(self, size: int) -> str:
        """Return the URL of a database that this checkout's commands seeded."""
        if self.checkout == self.after.checkout:
            return self.after.copy(size, f"before_{size}")
        return super().seeded(size)


def concentrate(database_url: str, size: int) -> None:
    """Make one conversation long and some clients busy, and update the planner's statistics.

    The first conversation gets a tenth of the messages. One ticket in twenty goes to one of the
    first clients, 1,250 to each on a large desk: nobody else has the 50 tickets that fill a page.
    """
    busy = max(1, size // 25_000)
    with closing(connect(database_url)) as connection:
        connection.execute(
            f"UPDATE message SET conversation_id = 1 WHERE message_id <= {size // 10}"
        )
        connection.execute(
            f"UPDATE ticket SET client_id = 1 + ticket_id / 20 % {busy} WHERE ticket_id % 20 = 0"
        )
        connection.commit()
        if not database_url.startswith("sqlite"):
            connection.autocommit = True
            connection.execute("VACUUM ANALYZE")  # as autovacuum does on a desk in use
