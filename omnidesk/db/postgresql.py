"""PostgreSQL: who is acting, which errors mean a lost connection, and what commands need."""

from typing import Any
from zlib import crc32

from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.engine import ExceptionContext

from omnidesk.db.base import Base
from omnidesk.db.session import acting_user, db

# Read-only after a failover, or shutting down: the connection still answers, but is of no use.
DISCONNECT_SQLSTATES = frozenset({"25006", "57P01", "57P02", "57P03"})


@event.listens_for(Engine, "begin")
def set_acting_user(connection: Connection) -> None:
    """Tell the change log's triggers who is acting, until the transaction ends."""
    if connection.dialect.name == "postgresql" and (user_id := acting_user()):
        connection.execute(select(func.set_config("omnidesk.actor", str(user_id), True)))


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
