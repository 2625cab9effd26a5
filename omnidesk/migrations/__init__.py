"""The schema's versions, and which of them this database has."""

import logging
from pathlib import Path
from time import sleep
from typing import Any

from sqlalchemy import column, func, inspect, select, table, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, ProgrammingError

from omnidesk.db import db, sqlite
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.feed_start import renumber_restored
from omnidesk.db.postgresql import disable_timeouts
from omnidesk.db.requirements import require_suitable
from omnidesk.db.statements import Statement

HERE = Path(__file__).parent
# Each file is named after its revision, and they are numbered in order.
KNOWN = {path.stem for path in (HERE / "versions").glob("[0-9]*.py")}
NEWEST = max(KNOWN)
LOCK = 7_401_055  # any number that nothing else of ours uses
MAX_LOCK_WAIT = "2s"  # for each lock of PostgreSQL's
PAUSE = 1  # second, in which others go on
LOCKED = {"55P03", "40P01"}  # SQLSTATEs of PostgreSQL: a lock was not had in time; a deadlock
UNDEFINED_TABLE = "42P01"  # a SQLSTATE of PostgreSQL
logger = logging.getLogger(__name__)
REVISION = Statement(select(column("version_num")).select_from(table("alembic_version")))


def revision() -> str | None:
    """Return the revision of the database's schema, None before the first."""
    try:
        rows = REVISION.fetch()
    except (OperationalError, ProgrammingError) as error:
        if is_missing_table(error.orig):
            return None
        raise
    return str(rows[0][0]) if rows else None


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema that a connection sees."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def is_missing_table(error: Any) -> bool:
    """Return whether an error says that a table does not exist."""
    return getattr(error, "sqlstate", None) == UNDEFINED_TABLE or "no such table" in str(error)


def fault(revision: str | None) -> str | None:
    """Return what is wrong with a database at this revision, None at the newest."""
    if revision == NEWEST:
        return None
    if revision is None or revision in KNOWN:
        return f"Its schema is at {revision}, not {NEWEST}: run init-db."
    return (
        f"Its schema is at {revision}, which is newer than this code ({NEWEST}):"
        " install the newer code, or restore the backup from before the upgrade."
    )


class NewerSchemaError(Exception):
    """The database was migrated by newer code."""


def upgrade(revision: str = "head") -> None:
    """Bring the database to a revision, the newest by default; a second caller waits.

    A SQLite database is created if there is none. Raises NewerSchemaError; ends the process with
    one line for a database that the server cannot work with. At the newest, a database that was
    restored from a backup gets an id of its own, and from a dump of PostgreSQL its changes are
    renumbered.
    """
    require_suitable()
    if files := sqlite.files_of(db.engine):
        files.create()
    while not attempt(revision):
        sleep(PAUSE)


def attempt(revision: str) -> bool:
    """Bring the database to a revision; return whether PostgreSQL gave all locks in time."""
    try:
        with db.engine.begin() as connection:
            migrate(connection, revision)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in LOCKED:
            raise
        logger.warning("Others use the tables. The migrations wait, and begin anew.")
        return False
    return True


def migrate(connection: Connection, revision: str) -> None:
    """Bring the database to a revision in the transaction of a connection.

    A migration that waits for a lock keeps all others waiting behind it who want the table, even
    to read: so it waits no longer than writers do.
    """
    if connection.dialect.name == "postgresql":
        disable_timeouts(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        connection.execute(select(func.set_config("lock_timeout", MAX_LOCK_WAIT, True)))
    upgrade_within(connection, revision)


def upgrade_within(connection: Connection, revision: str = "head") -> None:
    """Do what `upgrade` does, in a transaction in which nobody else upgrades the database."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    if (present := revision_of(connection)) and present not in KNOWN:
        raise NewerSchemaError(fault(present))
    is_known = DatabaseId.is_known_here(connection)
    command.upgrade(config, revision)
    if is_known:
        DatabaseId.stay_known(connection)
    if revision == "head":
        if not is_known:
            DatabaseId.renew(connection)
        if connection.dialect.name == "postgresql":
            renumber_restored(connection)


FUNCTIONS = """
SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
"""  # but for those of extensions


def drop_all() -> dict[str, int]:
    """Drop all tables and functions; return how many rows each table had."""
    if files := sqlite.files_of(db.engine):
        files.create()
    with db.engine.begin() as connection:
        disable_timeouts(connection)
        drop_virtual_tables(connection)
        names = [name for name, _ in inspect(connection).get_sorted_table_and_fkc_names() if name]
        counts = {name: count_rows(connection, name) for name in names}
        for name in reversed(names):
            connection.execute(text(f'DROP TABLE "{name}"'))
        if connection.dialect.name == "postgresql":
            for function in connection.scalars(text(FUNCTIONS)).all():
                connection.execute(text(f"DROP FUNCTION {function}"))
    return counts


def drop_virtual_tables(connection: Connection) -> None:
    """Drop the text indexes of SQLite, with the tables that they consist of."""
    if connection.dialect.name == "sqlite":
        virtual = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
        for name in connection.scalars(text(virtual)).all():
            connection.execute(text(f'DROP TABLE "{name}"'))


def count_rows(connection: Connection, name: str) -> int:
    """Return how many rows a table has."""
    return int(connection.scalar(text(f'SELECT count(*) FROM "{name}"')) or 0)  # noqa: S608 - ours
