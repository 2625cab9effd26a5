"""Who may call: sessions, which begin with a login, and tokens for integrations and bots."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import ForeignKey, Index, Select, String, Text, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Refused, alone, db, utcnow

LONGEST = timedelta(hours=12)  # how long after its login a session's token can be renewed
PREFIX = "odk_"
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


class Session(Base):
    """What a login began. Triggers end all of a user's with a new password, or the user's leave."""

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
    def begin(
        cls, user_id: int, lifetime: timedelta, address: str | None, user_agent: str | None
    ) -> Self:
        """Give a new session of a user's, from an address, with a first token of this lifetime."""
        db.session.flush()  # a new password ends the sessions that there are so far
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
        """Let a session's next token live; None where its login is too long ago."""
        session = db.session.get(cls, session_id or 0, with_for_update=True)
        now = utcnow()
        if session is None or session.created_at < now - LONGEST:
            return None
        session.expires_at = now + lifetime
        return session

    @classmethod
    def of(cls, user_id: int, **filters: object) -> Select[Self]:
        """Select a user's sessions that still have a token, the oldest first."""
        alive = select(cls).where(cls.user_id == user_id, cls.expires_at > utcnow())
        return alive.filter_by(**filters).order_by(cls.session_id)

    @classmethod
    def end(cls, session_id: int, user_id: int) -> bool:
        """End a session of a user's; tell whether there was one."""
        ended = delete(cls).where(cls.session_id == session_id, cls.user_id == user_id)
        return db.session.execute(ended.returning(cls.session_id)).first() is not None

    @classmethod
    def prune(cls) -> int:
        """Forget the sessions whose last token has expired; give how many."""
        gone = delete(cls).where(cls.expires_at <= utcnow()).returning(cls.session_id)
        return len(db.session.execute(gone).all())


class ApiToken(Base):
    """A token that does what its user may, within its scopes. Only its digest is stored."""

    __tablename__ = "api_token"

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
    def issue(
        cls, user_id: int, name: str, scopes: Iterable[str], expires_at: datetime | None
    ) -> tuple[Self, str]:
        """Give a new token's row and the token; raises Refused for one that has expired already."""
        now = utcnow()
        if expires_at is not None and expires_at <= now:
            raise Refused("expires_at", "Must be in the future.")
        token = PREFIX + secrets.token_urlsafe(32)
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
        db.session.add(row)
        db.session.flush()
        return row, token

    @classmethod
    def visible(cls, user_id: int, role: str, **filters: object) -> Select[Self]:
        """Select the tokens that a user may see: their own, or as an admin everybody's."""
        tokens = select(cls).filter_by(**filters).order_by(cls.token_id)
        return tokens if role == "admin" else tokens.where(cls.user_id == user_id)

    @classmethod
    def revoke(cls, token_id: int, user_id: int, role: str) -> bool:
        """Revoke a token that a user may see; tell whether there was one."""
        gone = delete(cls).where(cls.token_id == token_id)
        if role != "admin":
            gone = gone.where(cls.user_id == user_id)
        return db.session.execute(gone.returning(cls.token_id)).first() is not None

    @classmethod
    def used(cls, token_id: int) -> None:
        """Note that a token is used now, in a transaction of its own."""
        used = update(cls).where(cls.token_id == token_id).values(last_used_at=utcnow())
        with alone(db.engine).connect() as connection:
            connection.execute(used)


def digest(token: str) -> str:
    """Give what is stored of a token: it is random enough to need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
