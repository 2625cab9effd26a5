"""Whose password a text is.

Models know nothing of it: hashing takes 1 MB of memory, also of processes where nobody logs in.
"""

from sqlalchemy import bindparam, func, select

from omnidesk.db import db, utcnow
from omnidesk.db.statements import Statement
from omnidesk.users import passwords
from omnidesk.users.models import User

PASSWORD_BY_NAME = Statement(
    select(User.user_id, User.password_hash).where(
        func.lower(User.username) == bindparam("username"), User.active
    )
)
PASSWORD_BY_ID = Statement(select(User.password_hash).where(User.user_id == bindparam("user_id")))


def log_in(username: str, password: str) -> User | None:
    """Return the active user with this name and password, noting the time; else None."""
    found = PASSWORD_BY_NAME.fetch(username=username.lower())
    user_id, stored = found[0] if found else (0, passwords.unknown_hash())
    user = verify(user_id, stored, password)
    if user is not None:
        user.last_login_at = utcnow()
    return user


def verified(user_id: int, password: str) -> User | None:
    """Return the active user with this id, locked, if the password is theirs; else None."""
    ((stored,),) = PASSWORD_BY_ID.fetch(user_id=user_id)
    return verify(user_id, stored, password)


def verify(user_id: int, stored: str, password: str) -> User | None:
    """Return the active user, locked, if the password has the hash that is stored of it."""
    # Before the transaction begins: hashing takes a while, and nobody should wait for it.
    if not passwords.verify(stored, password):
        return None
    renewed = passwords.renew(stored, password)
    user = db.session.get(User, user_id, with_for_update={"key_share": True})
    now_stored = user.password_hash if user and user.active else None
    if user is None or now_stored != stored:
        db.session.rollback()
        return verify(user_id, now_stored, password) if now_stored else None
    user.password_hash = renewed
    return user
