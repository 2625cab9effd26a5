"""Answers that are kept, so that a request sent again is not done again."""

from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import ForeignKey, Index, String, Text, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, db, utcnow

LIFETIME = timedelta(hours=24)
INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class IdempotencyKey(Base):
    """The answer to what a user sent to a route under a key, or a place for it."""

    __tablename__ = "idempotency_key"

    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.user_id"), primary_key=True)
    route: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    headers: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "created_at"),)

    @classmethod
    def claim(cls, user_id: int, route: str, key: str, fingerprint: str) -> Self:
        """Return the place under a key: empty, and ours until we commit, or with what was answered.

        Whoever claims the same key meanwhile waits until we have committed or given up.
        """
        now, place = utcnow(), {"user_id": user_id, "route": route, "key": key}
        db.session.execute(delete(cls).filter_by(**place).where(cls.created_at < now - LIFETIME))
        new = INSERT[db.engine.name](cls).values(**place, fingerprint=fingerprint, created_at=now)
        db.session.execute(new.on_conflict_do_nothing())
        return db.session.get_one(cls, place)

    @classmethod
    def prune(cls) -> int:
        """Forget the answers that are older than a day, and return how many there were."""
        old = delete(cls).where(cls.created_at < utcnow() - LIFETIME).returning(cls.key)
        return len(db.session.execute(old).all())
