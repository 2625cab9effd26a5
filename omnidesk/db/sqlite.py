"""SQLite: durable, checking references, and without lost updates."""

import re
import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from omnidesk.db.session import acting_user

PRAGMAS = (
    "busy_timeout=5000",  # milliseconds
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
)


@event.listens_for(Engine, "connect")
def set_pragmas(connection: Any, _record: Any) -> None:
    """Prepare a new connection; triggers call `acting_user()` for the change log."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    connection.create_function("acting_user", 0, acting_user)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def begin_immediate(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads and then writes loses no update."""
    if connection.dialect.name == "sqlite" and not is_autocommit(connection):
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OperationalError("BEGIN IMMEDIATE", None, error) from error


def is_autocommit(connection: Connection) -> bool:
    """Return whether each statement is a transaction of its own, as on the engine for reading."""
    return bool(connection.get_execution_options().get("autocommit"))


@event.listens_for(Engine, "handle_error")
def name_constraint(context: ExceptionContext) -> None:
    """Note the broken constraint's name on the error, as psycopg does."""
    error: Any = context.original_exception
    if isinstance(error, sqlite3.IntegrityError):
        vars(error)["constraint_name"] = constraint_name(str(error), context)


def constraint_name(message: str, context: ExceptionContext) -> str | None:
    """Return the name of the constraint in SQLite's message, or None where it is not known."""
    if "FOREIGN KEY" in message:
        return broken_foreign_key(context)
    if columns := re.findall(r"(\w+)\.(\w+)", message):
        return "_".join(["uq", columns[0][0], *(column for _, column in columns)])
    return message.rpartition(": ")[2].removeprefix("index ").strip("'")


def broken_foreign_key(context: ExceptionContext) -> str | None:
    """Return the name of the foreign key whose row is missing, which SQLite does not tell."""
    execution: Any = context.execution_context
    table, connection = execution.compiled.statement.table, execution.root_connection
    for key in table.foreign_key_constraints:
        (reference,) = key.elements
        for row in execution.compiled_parameters:
            value = row.get(reference.parent.name)
            target = select(reference.column).where(reference.column == value)
            if value is not None and connection.execute(target).first() is None:
                return str(key.name)
    return None
