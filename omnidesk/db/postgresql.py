"""PostgreSQL: who is acting, which errors mean a lost connection, and what commands need."""

from select import POLLIN, poll
from typing import Any
from zlib import crc32

from sqlalchemy import (
    Connection,
    Engine,
    Text,
    bindparam,
    cast,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import Pool

from omnidesk.db.base import Base
from omnidesk.db.session import acting_user, db, logged_operation

# Read-only after a failover, or shutting down: the connection still answers, but is of no use.
DISCONNECT_SQLSTATES = frozenset({"25006", "57P01", "57P02", "57P03"})

# Tells the change log's triggers who is acting, in an insert that returns it: its row is returned
# before they run, at the end of the statement.
SET_ACTOR = func.set_config(
    literal_column("'omnidesk.actor'"), cast(bindparam("actor"), Text), literal_column("true")
)


@event.listens_for(Engine, "do_connect")
def connect(dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> Any:
    """Return a connection that gives up in time; None for SQLite, whose driver connects itself."""
    if dialect.name != "postgresql":
        return None
    from omnidesk.db.connection import BoundedConnection  # psycopg is not imported for SQLite

    return BoundedConnection.open(parameters)


@event.listens_for(Pool, "checkout")
def check_connection(connection: Any, _record: Any, _proxy: Any) -> None:
    """Replace a connection that the server has closed, without asking the server.

    What nobody has asked for arrives on an idle connection only when the server ends it.
    """
    pgconn = getattr(connection, "pgconn", None)  # psycopg's
    if pgconn is not None:
        if connection.closed:
            raise DisconnectionError
        waiting = poll()
        waiting.register(pgconn.socket, POLLIN)
        if waiting.poll(0):
            raise DisconnectionError


@event.listens_for(Engine, "begin")
def begin(connection: Connection) -> None:
    """Begin a transaction, and tell the change log's triggers at once what they log.

    The driver itself is in autocommit: it would send BEGIN, and then this, one after the other.
    """
    if connection.dialect.name == "postgresql" and begins_by_itself(connection):
        user_id = acting_user()
        actor = f"; SET LOCAL omnidesk.actor = '{user_id}'" if user_id else ""
        operation = logged_operation.get()
        logged = f"; SET LOCAL omnidesk.operation = '{operation}'" if operation else ""
        connection.exec_driver_sql(f"BEGIN{actor}{logged}")


def begins_by_itself(connection: Connection) -> bool:
    """Return whether a connection is one of the engine that writes (see `engines.py`)."""
    options = connection.get_execution_options()
    return "explicit_begin" in options and options.get("isolation_level") != "AUTOCOMMIT"


@event.listens_for(Engine, "handle_error")
def mark_disconnect(context: ExceptionContext) -> None:
    """Let SQLAlchemy drop a connection whose server is going away."""
    if getattr(context.original_exception, "sqlstate", None) in DISCONNECT_SQLSTATES:
        context.is_disconnect = True


def disable_timeouts(connection: Connection) -> None:
    """Lift the time limits of statements until the transaction ends, for an operator's command."""
    if connection.dialect.name == "postgresql":
        for setting in ("statement_timeout", "lock_timeout"):
            connection.execute(select(func.set_config(setting, "0", True)))


def reset_sequence(model: type[Base]) -> None:
    """Continue a table's ids after the greatest there is, as SQLite does by itself."""
    if db.engine.name == "postgresql":
        key: Any = model.primary_key()
        sequence = func.pg_get_serial_sequence(model.__tablename__, key.name)
        db.session.execute(select(func.setval(sequence, select(func.max(key)).scalar_subquery())))


def advisory_lock(name: str) -> None:
    """Wait until no other transaction holds the lock of this name, and hold it to the end.

    SQLite needs none: there, a transaction holds the write lock from its beginning.
    """
    if db.engine.name == "postgresql":
        db.session.execute(select(func.pg_advisory_xact_lock(crc32(name.encode()))))
