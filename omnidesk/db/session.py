"""The engines and the session of the app, which Flask-SQLAlchemy makes from its settings.

`db.session` writes: one transaction a request, on the default engine. Statements that only read
run in autocommit on the engine named `READ` (see `omnidesk.db.statements`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from flask import g, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import func, select

from omnidesk.db.base import Base

Row = TypeVar("Row", bound=Base)
READ = "read"
RATE_LIMITS = "rate_limits"

db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})

# What the change log's triggers log instead of what is usual; see `logging_as`.
logged_operation: ContextVar[str | None] = ContextVar("logged_operation", default=None)


def acting_user() -> int | None:
    """Return the id of the user whose request this is, for the change log; else None."""
    user = g.get("user") if has_app_context() else None
    return user and int(user.user_id)


def read_locked(entity: type[Row], row_id: int) -> Row | None:
    """Return a row, locked and as it is now, or None.

    `Session.get` would raise StaleDataError where the session has read the row before, and others
    have changed it since.
    """
    found = select(entity).where(entity.primary_key() == row_id)
    anew = {"populate_existing": True}
    return db.session.scalar(found.with_for_update(key_share=True), execution_options=anew)


def in_transaction() -> bool:
    """Return whether `db.session` has begun a transaction, without making a session to ask."""
    return db.session.registry.has() and db.session().in_transaction()


@contextmanager
def logging_as(operation: str) -> Iterator[None]:
    """Log rows that are added inside as `imported`; as `erased`, log no change inside at all.

    What is added in the name of an erasure is logged by whoever erases. After an exception the
    caller must roll back: PostgreSQL still knows the operation until the transaction ends.
    """
    flush()
    token = logged_operation.set(operation)
    try:
        tell_triggers()
        yield
        flush()
    finally:
        logged_operation.reset(token)
    tell_triggers()


def flush() -> None:
    """Send what `db.session` has to write, if it has begun a transaction."""
    if in_transaction():
        db.session.flush()


def tell_triggers() -> None:
    """Tell PostgreSQL's triggers how the rest of a transaction that has begun is logged.

    One that begins later tells them at once, and SQLite's ask.
    """
    if in_transaction() and db.engine.name == "postgresql":
        operation = logged_operation.get() or ""
        db.session.execute(select(func.set_config("omnidesk.operation", operation, True)))
