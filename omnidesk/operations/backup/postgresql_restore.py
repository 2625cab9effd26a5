"""A dump takes the place of a PostgreSQL database: a new one is complete before it is renamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from omnidesk.db import db, utcnow
from omnidesk.db.engines import WRITE_SETTINGS, engine_options
from omnidesk.db.numbers import last_numbers
from omnidesk.operations.backup import postgresql_backup
from omnidesk.operations.backup.postgresql_programs import (
    NOT_ALLOWED,
    be_alone,
    beside,
    quoted,
    run,
    scratch_database,
    session,
)
from omnidesk.operations.backup.preparing import prepare

SUFFIX = "_restoring"
OTHER_DATABASES = ("postgres", "template1")  # from which a database can be renamed
OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = :name AND usename IS NOT NULL AND pid <> pg_backend_pid()"
)
IN_USE = "The database {} is in use: stop the server, and whatever else is connected to it."
OBJECT_IN_USE = "55006"
MAY_NOT_RENAME = (
    "The role may not rename the database {}, which restoring needs:"
    " let it be the owner, and run ALTER ROLE ... CREATEDB as an administrator."
)


def check(file: Path) -> None:
    """Raise ClickException for a file that is no dump, or while others are connected."""
    url = db.engine.url
    try:
        run("pg_restore", "--list", "--file=/dev/null", str(file), url=url)
    except click.ClickException as error:
        raise click.ClickException(f"{file}: {error.message}") from None
    with elsewhere(url) as connection:
        refuse_others(connection, url)


@contextmanager
def elsewhere(url: URL) -> Iterator[Connection]:
    """Yield a connection to another database of the same server.

    Raises ClickException where there is none, and the server's own error where it does not answer.
    """
    for name in OTHER_DATABASES:
        if name != url.database and can_connect(url.set(database=name)):
            with session(url.set(database=name)) as connection:
                yield connection
            return
    with session(url):
        pass
    raise click.ClickException(
        "Restoring needs a connection to the database postgres or template1, too."
    )


def can_connect(url: URL) -> bool:
    """Return whether the role may connect to a database."""
    try:
        with session(url):
            return True
    except DBAPIError:
        return False


def refuse_others(connection: Connection, url: URL) -> None:
    """Raise ClickException while somebody is connected to the database."""
    if connection.scalar(OTHERS, {"name": url.database}):
        raise click.ClickException(IN_USE.format(url.database))


def restore(file: Path) -> str:
    """Restore a dump; return the name of the old database."""
    url = db.engine.url
    with elsewhere(url) as connection:
        be_alone(connection)
        refuse_others(connection, url)
        with scratch_database(connection, url, SUFFIX, "restoring") as new:
            postgresql_backup.restore(file, new)
            with migrating(new) as engine:
                prepare(engine, file, last_numbers_of(url))
            return swap(connection, url, new)


@contextmanager
def migrating(url: URL) -> Iterator[Engine]:
    """Yield an engine as the server's own, whose connections are closed in the end."""
    options = engine_options(url, 1, 1, WRITE_SETTINGS)
    for name in ("pool_size", "max_overflow", "pool_timeout"):
        del options[name]
    engine = create_engine(url, poolclass=NullPool, **options)
    yield engine


def last_numbers_of(url: URL) -> dict[str, int]:
    """Return the last numbers that a database has given out; none where they cannot be read."""
    try:
        with migrating(url) as engine, engine.begin() as connection:
            return last_numbers(connection)
    except DBAPIError:
        return {}


def swap(connection: Connection, url: URL, new: URL) -> str:
    """Rename the new database to the name of the old one at once; return the old one's new name."""
    kept = url.set(database=beside(url, f"_{utcnow():%Y%m%dt%H%M%Sz}"))
    old_name, new_name, kept_name = (quoted(connection, each) for each in (url, new, kept))
    try:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql(f"ALTER DATABASE {old_name} RENAME TO {kept_name}")
        connection.exec_driver_sql(f"ALTER DATABASE {new_name} RENAME TO {old_name}")
        connection.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        connection.exec_driver_sql("ROLLBACK")
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate == OBJECT_IN_USE:
            raise click.ClickException(IN_USE.format(url.database)) from None
        if sqlstate == NOT_ALLOWED:
            raise click.ClickException(MAY_NOT_RENAME.format(url.database)) from None
        raise
    return str(kept.database)
