"""Copies of a SQLite database, made beside a busy server, and checked."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from omnidesk.db import db
from omnidesk.db.session import READ
from omnidesk.operations.backup.contents import Contents

STEP = 1_000  # pages that are copied at once
TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
Progress = Callable[[int, int], None]


def back_up(target: Path, progress: Progress) -> Contents:
    """Copy the database as it is now into an empty file; return what the copy must have.

    All is read in one transaction, which no writer waits for, so that none of them disturbs it.
    """
    connection = db.engines[READ].raw_connection()
    live: Any = connection.driver_connection
    try:
        live.execute("BEGIN")
        expected = contents(live)
        copy(live, target, progress)
    finally:
        live.rollback()
        connection.close()
    check(target, expected)
    return expected


def copy(source: sqlite3.Connection, target: Path, progress: Progress) -> None:
    """Copy a database into an empty file, which needs no other files beside it."""

    def report(_status: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    with closing(sqlite3.connect(target, isolation_level=None)) as new:
        new.execute("PRAGMA synchronous=OFF")  # it is made durable when it is whole
        new.execute("PRAGMA journal_mode=MEMORY")
        source.backup(new, pages=STEP, progress=report)
        new.execute("PRAGMA journal_mode=DELETE")


def contents(connection: sqlite3.Connection) -> Contents:
    """Return what a database has."""
    tables = [name for (name,) in connection.execute(TABLES)]
    counts = {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - its own name
        for name in tables
    }
    newest = None
    if "change" in tables:
        (newest,) = connection.execute("SELECT max(seq) FROM change").fetchone()
    return Contents(connection.execute(SCHEMA).fetchall(), counts, newest)


def check(path: Path, expected: Contents) -> None:
    """Raise ClickException unless a file is an intact database with what is expected."""
    with closing(opened_read_only(path)) as connection:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            raise click.ClickException(f"{path} is damaged: {found[0]}")
        if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise click.ClickException(f"{path} is damaged: {broken[0]} refers to no row")
        expected.require(contents(connection))


def read_through(path: Path) -> None:
    """Read all pages of a backup; raise ClickException or sqlite3.Error where one is damaged."""
    with closing(opened_read_only(path)) as connection:
        connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise click.ClickException(found)


def opened_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection to a file that nobody else writes."""
    uri = f"file:{quote(bytes(path.absolute()))}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
