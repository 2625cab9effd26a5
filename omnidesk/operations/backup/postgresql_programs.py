"""PostgreSQL's own programs, and the databases that commands make beside the desk's own."""

import os
import shutil
import subprocess  # nosec
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

INSTALLED = Path("/usr/lib/postgresql")  # where Debian has the programs of each version
NO_TIMEOUTS = (
    *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"),
    "idle_session_timeout",
)
NOT_ALLOWED = "42501"  # SQLSTATEs of PostgreSQL
LOCK = 7_401_056  # any number that nothing else of ours uses
# As pg_catalog alone is searched, all names have their schemas, whatever is set.
SETTINGS = dict.fromkeys(NO_TIMEOUTS, "0") | {"search_path": "pg_catalog"}
CREATE = (
    "SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L',"
    " CAST(:name AS text), pg_encoding_to_char(encoding), datcollate, datctype)"
    " FROM pg_database WHERE datname = :like"
)
MAY_NOT_CREATE = (
    'The role "{role}" may not create databases, which is needed for {purpose}: '
    'run ALTER ROLE "{role}" CREATEDB as an administrator.'
)


def run(program: str, *arguments: str, url: URL, **kwargs: Any) -> None:
    """Run a program to its end, on a database; raise ClickException with the first line it says."""
    from omnidesk.db.connection import environment  # psycopg is not imported for SQLite

    _, parameters = url.get_dialect()().create_connect_args(url)
    command = [find(program), *arguments]
    settings = os.environ | environment(dict(parameters)) | {"LC_MESSAGES": "C"}
    # No shell, and nothing that a client sends.
    done = subprocess.run(  # noqa: S603 # nosec
        command, env=settings, stderr=subprocess.PIPE, check=False, text=True, **kwargs
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with the status {done.returncode}"]
        raise click.ClickException(f"{program} failed: {said[0].removeprefix(f'{program}: ')}")


def find(program: str) -> str:
    """Return the path of a program; raise ClickException where it is not installed."""
    found = shutil.which(program)
    if not found:
        others = sorted(INSTALLED.glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
        if not others:
            raise click.ClickException(f"{program} was not found: install postgresql-client.")
        found = str(others[-1])
    return found


@contextmanager
def session(url: URL) -> Iterator[Connection]:
    """Yield a connection in autocommit, without time limits, which is closed in the end."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name, value in SETTINGS.items():
            connection.execute(
                text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value}
            )
        yield connection


def be_alone(connection: Connection) -> None:
    """Raise ClickException while another command makes or restores a backup beside this one."""
    if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        raise click.ClickException("Another backup is being made or restored.")


@contextmanager
def scratch_database(connection: Connection, url: URL, suffix: str, purpose: str) -> Iterator[URL]:
    """Yield the URL of a new database beside this one, which is dropped in the end if it is there.

    One that an interrupted command has left is dropped first. Raises ClickException where the role
    may not create it.
    """
    scratch = url.set(database=beside(url, suffix))
    drop(connection, scratch)
    try:
        create(connection, scratch, url, purpose)
        yield scratch
    finally:
        drop(connection, scratch)


def beside(url: URL, suffix: str) -> str:
    """Return the name of a database that is named after this one, in at most 63 bytes."""
    name = str(url.database).encode()[: 63 - len(suffix)].decode(errors="ignore")
    return f"{name}{suffix}"


def create(connection: Connection, url: URL, like: URL, purpose: str) -> None:
    """Create a database with the encoding and the locale of another; raise ClickException."""
    names = {"name": url.database, "like": like.database}
    statement = connection.scalar(text(CREATE), names)
    if statement is None:
        raise click.ClickException(f"There is no database {like.database}: create an empty one.")
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        role = connection.scalar(text("SELECT current_user"))
        raise click.ClickException(MAY_NOT_CREATE.format(role=role, purpose=purpose)) from None


def drop(connection: Connection, url: URL) -> None:
    """Drop a database if there is one, with the connections to it."""
    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted(connection, url)} WITH (FORCE)")


def quoted(connection: Connection, url: URL) -> str:
    """Return the name of a database as SQL has it."""
    name = connection.dialect.identifier_preparer.quote(str(url.database))
    return name.replace("%", "%%")
