"""What the server asks of a database before it works with it."""

import sqlite3
from contextlib import closing
from functools import cache
from typing import Any

from sqlalchemy import literal_column, select
from sqlalchemy.exc import DBAPIError

from omnidesk.db.session import READ, db
from omnidesk.db.statements import Statement

MIN_VERSION = 14  # of PostgreSQL
FACTS: Any = (
    "current_setting('server_version_num')::integer / 10000",
    "current_setting('server_encoding')",
    "current_schema()::text",
)
POSTGRESQL = Statement(select(*map(literal_column, FACTS)))


@cache
def has_fts5() -> bool:
    """Return whether Python's SQLite can search texts."""
    with closing(sqlite3.connect(":memory:")) as connection:
        return ("fts5",) in connection.execute("SELECT name FROM pragma_module_list")


def unsuitable() -> str | None:
    """Return why the server cannot work with this database, in a sentence; None where it can.

    Raises DBAPIError where the database does not answer.
    """
    if db.engines[READ].name == "sqlite":
        return None if has_fts5() else "Python's SQLite was built without FTS5, which is needed."
    from omnidesk.db.connection import SharedSessionError

    try:
        ((version, encoding, schema),) = POSTGRESQL.fetch()
    except DBAPIError as error:
        if isinstance(error.orig, SharedSessionError):
            return str(error.orig)
        raise
    if version < MIN_VERSION:
        return f"PostgreSQL {MIN_VERSION} or newer is needed, and this is {version}."
    if encoding != "UTF8":
        return f"The database has the encoding {encoding}: make one with ENCODING 'UTF8'."
    if schema is None:
        return "No schema of the search_path exists, or its owner may not use it: set search_path."
    return None


def require_suitable() -> None:
    """End the process with one line where the server cannot work with this database."""
    if why := unsuitable():
        raise SystemExit(f"omnidesk cannot start: {why}")
