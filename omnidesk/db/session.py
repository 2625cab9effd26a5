"""The engines and the session of the app, which Flask-SQLAlchemy makes from its settings.

`db.session` writes: one transaction a request, on the default engine. Statements that only read
run in autocommit on the engine named `READ` (see `omnidesk.db.statements`).
"""

from flask import g, has_app_context
from flask_sqlalchemy import SQLAlchemy

from omnidesk.db.base import Base

READ = "read"
RATE_LIMITS = "rate_limits"

db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})


def acting_user() -> int | None:
    """Return the id of the user whose request this is, for the change log; else None."""
    user = g.get("user") if has_app_context() else None
    return user and int(user.user_id)


def in_transaction() -> bool:
    """Return whether `db.session` has begun a transaction, without making a session to ask."""
    return db.session.registry.has() and db.session().in_transaction()
