"""Which attempts to prove a password are counted together."""

from contextlib import AbstractContextManager

from flask import request
from sqlalchemy import bindparam, func, select

from omnidesk.auth.models import UserSession
from omnidesk.db import utcnow
from omnidesk.db.statements import Statement
from omnidesk.http import current_user
from omnidesk.http.rate_limits.attempts import Attempt, AttemptCounter, attempt
from omnidesk.http.rate_limits.policy import rate_limit_key
from omnidesk.users.models import User

SESSION_ADDRESSES = Statement(
    select(UserSession.address)
    .join(User, User.user_id == UserSession.user_id)
    .where(func.lower(User.username) == bindparam("username"), User.active)
    .where(UserSession.expires_at > bindparam("now"))
    .distinct()
)


def login_attempt(username: str) -> AbstractContextManager[Attempt]:
    """Count a login by its name and address together, by each alone; raise 429 for too many.

    Where others guess from many addresses, the user can still log in from an address of a session.
    """
    name, address = username.lower(), rate_limit_key(request.remote_addr)
    return attempt(
        AttemptCounter.of("login", name, address),
        AttemptCounter.of("login-address", address),
        AttemptCounter.of("login-name", name, is_spared=lambda: has_session_at(name, address)),
    )


def password_attempt() -> AbstractContextManager[Attempt]:
    """Count a proof of the caller's own password by the session; raise 429 for too many."""
    return attempt(AttemptCounter.of("password", current_user.session_id))


def has_session_at(username: str, address: str) -> bool:
    """Return whether a user has a session that was begun at an address and has not expired."""
    rows = SESSION_ADDRESSES.fetch(username=username, now=utcnow())
    return any(rate_limit_key(row[0]) == address for row in rows)
