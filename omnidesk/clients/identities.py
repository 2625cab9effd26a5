"""What channels call clients."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import ForeignKey, Index, Select, String, UniqueConstraint, bindparam, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, Versioned, db, utcnow
from omnidesk.db.postgresql import advisory_lock


class Identity(Versioned, Base):
    """A user of a channel, who is a client of the desk."""

    __tablename__ = "identity"
    logged_as = "identity"

    identity_id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.client_id"))
    channel: Mapped[str] = mapped_column(String(32))
    external_user_id: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        UniqueConstraint("channel", "external_user_id", info={"field": "external_user_id"}),
        Index(None, "client_id", "identity_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the identities that meet the filters, oldest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.identity_id)

    @classmethod
    def lock_all(cls) -> None:
        """Wait until nobody else adds, moves or deletes identities, before any row is locked."""
        advisory_lock("identity")

    @classmethod
    def lock_first(cls, _identity_id: int, *_data: dict[str, Any]) -> None:
        """Wait until nobody else moves the identity, which they find without a lock."""
        cls.lock_all()

    @classmethod
    def of(cls, channel: str, external_user_id: str) -> "Identity | None":
        """Return the identity of a channel's user, or None."""
        named = {"channel": channel, "external_user_id": external_user_id}
        return db.session.scalar(OF_USER, named)

    @classmethod
    def give(cls, client_id: int, channel: str, external_user_id: str) -> "Identity":
        """Return the identity of a channel's user, new or moved to this client.

        The caller holds the lock of all.
        """
        named = {"channel": channel, "external_user_id": external_user_id}
        known = db.session.scalar(LOCKED, named)  # an erasure may be deleting it
        if known is None:
            return cls(client_id=client_id, channel=channel, external_user_id=external_user_id)
        known.change(client_id=client_id)
        db.session.flush()
        return known


OF_USER = select(Identity).where(
    Identity.channel == bindparam("channel"),
    Identity.external_user_id == bindparam("external_user_id"),
)
LOCKED = OF_USER.with_for_update(key_share=True)
