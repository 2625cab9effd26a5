"""Who may call: the sessions that logins begin, and the API tokens of integrations and bots."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import ForeignKey, Index, Select, String, Text, bindparam, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, RuleViolation, db, utcnow
from omnidesk.db.session import RATE_LIMITS
from omnidesk.db.sqlite import wait_for_lock, waiting_at_most

MAX_SESSION_AGE = timedelta(hours=12)  # since the login; then its token is not renewed any more
TOKEN_PREFIX = "odk_"  # noqa: S105 - every API token begins so
SCOPES = (
    "summary:read",
    "events:read",
    "events:write",
    "tickets:read",
    "tickets:write",
    "comments:read",
    "comments:write",
    "users:read",
    "clients:read",
    "clients:write",
    "conversations:read",
    "conversations:write",
    "messages:write",
    "messages:relay",
    "changes:read",
)
READ_SCOPES = {  # of the rows of each entity, in the change log, too
    "user": "users:read",
    "client": "clients:read",
    "ticket": "tickets:read",
    "event": "events:read",
    "conversation": "conversations:read",
    "message": "conversations:read",
    "comment": "comments:read",
    "identity": "clients:read",
}
ADMIN_SCOPES = frozenset({"messages:relay"})  # what only admins may do, so only they give it out


class UserSession(Base):
    """What a login begins. Triggers end it with a new password or the user's deactivation."""

    __tablename__ = "session"

    session_id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.user_id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        Index(None, "user_id", "session_id"),
        Index(None, "expires_at"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def new(
        cls, user_id: int, lifetime: timedelta, address: str | None, user_agent: str | None
    ) -> Self:
        """Store and return a new session, whose first token is valid for this lifetime."""
        db.session.flush()  # a new password ends the sessions that exist so far
        now = utcnow()
        session = cls(
            user_id=user_id,
            created_at=now,
            expires_at=now + lifetime,
            address=address,
            user_agent=user_agent,
        )
        db.session.add(session)
        db.session.flush()
        return session

    @classmethod
    def renew(cls, session_id: int | None, lifetime: timedelta) -> Self | None:
        """Extend a session by the lifetime of a token; None where its login is too long ago."""
        session = db.session.get(cls, session_id or 0, with_for_update=True)
        now = utcnow()
        if session is None or session.created_at < now - MAX_SESSION_AGE:
            return None
        session.expires_at = now + lifetime
        return session

    @classmethod
    def unexpired(cls, filters: Filters) -> Select[Self]:
        """Select the sessions that meet the filters and expire after `now`, oldest first."""
        alive = select(cls).where(
            *filters.conditions(cls, "now"), cls.expires_at > bindparam("now")
        )
        return alive.order_by(cls.session_id)

    @classmethod
    def end(cls, session_id: int, user_id: int) -> bool:
        """Delete a session of a user; return whether there was one."""
        ended = delete(cls).where(cls.session_id == session_id, cls.user_id == user_id)
        return db.session.execute(ended.returning(cls.session_id)).first() is not None

    @classmethod
    def prune(cls) -> int:
        """Delete the sessions whose last token has expired; return how many."""
        expired = select(cls.session_id).where(cls.expires_at <= utcnow())
        # What is locked is being ended or renewed. Whoever does it may wait for one of the others.
        free = expired.with_for_update(skip_locked=True)
        pruned = delete(cls).where(cls.session_id.in_(free)).returning(cls.session_id)
        return len(db.session.execute(pruned).all())


class ApiToken(Base):
    """A token that may do what its user may, within its scopes. Only its digest is stored.

    Triggers revoke it with a new password or the user's deactivation.
    """

    __tablename__ = "api_token"

    token = ""  # the text of a new token, which is stored nowhere

    token_id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.user_id"))
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[str] = mapped_column(Text)  # a JSON array
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "user_id", "token_id"), {"sqlite_autoincrement": True})

    @classmethod
    def new(
        cls, user_id: int, name: str, scopes: Iterable[str], expires_at: datetime | None
    ) -> Self:
        """Return a new token, with its text in `token`; raise RuleViolation if it has expired."""
        now = utcnow()
        if expires_at is not None and expires_at <= now:
            raise RuleViolation("expires_at", "Must be in the future.")
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        listed = ",".join(f'"{scope}"' for scope in SCOPES if scope in set(scopes))
        row = cls(
            user_id=user_id,
            name=name,
            scopes=f"[{listed}]",
            digest=digest(token),
            created_at=now,
            expires_at=expires_at,
            last_used_at=None,
        )
        row.token = token
        return row

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the tokens that meet the filters, oldest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.token_id)

    @classmethod
    def revoke(cls, token_id: int, **owner: int) -> bool:
        """Delete a token, with `user_id` only that user's; return whether there was one."""
        revoked = delete(cls).filter_by(token_id=token_id, **owner).returning(cls.token_id)
        return db.session.execute(revoked).first() is not None

    @classmethod
    def record_use(cls, token_id: int) -> None:
        """Note that a token is used now, unless somebody is writing, whom nobody waits for."""
        free = select(cls.token_id).where(cls.token_id == token_id)
        free = free.with_for_update(skip_locked=True, key_share=True)
        used = update(cls).where(cls.token_id.in_(free)).values(last_used_at=utcnow())
        with waiting_at_most(0), db.engines[RATE_LIMITS].connect() as connection:
            wait_for_lock(connection)
            connection.execute(used)


def digest(token: str) -> str:
    """Return the SHA-256 digest of a token: it is random enough to need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
