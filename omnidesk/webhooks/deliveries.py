"""What became of telling other systems: a row for each change and webhook."""

from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Select,
    String,
    UniqueConstraint,
    delete,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, RuleViolation, db, enum_type, utcnow
from omnidesk.db.base import partial_index
from omnidesk.db.clock import NOW

STATES = PENDING, SENT, FAILED = "pending", "sent", "failed"
MAX_ERROR = 200  # code points
MAX_AGE = timedelta(days=30)  # of deliveries that are sent or have failed
PRUNED_AT_ONCE = 1_000  # rows


class WebhookDelivery(Base):
    """A change that a webhook is told of. What is sent is made from the change when it is sent."""

    __tablename__ = "webhook_delivery"

    delivery_id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.webhook_id", ondelete="CASCADE"))
    seq: Mapped[int]  # of the change
    # The database that has made it: a copy does not use the same ids for other changes.
    database_id: Mapped[str] = mapped_column(String(16))
    type: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(enum_type("state", *STATES))
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    attempted_at: Mapped[datetime | None]  # the last time
    due_at: Mapped[datetime | None]  # when it is next tried, or whoever has the lease has lost it
    lease: Mapped[str | None] = mapped_column(String(32))
    status_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(MAX_ERROR))

    __table_args__ = (
        UniqueConstraint("webhook_id", "seq", info={"field": "seq"}),
        CheckConstraint("(state = 'pending') = (due_at IS NOT NULL)", name="due"),
        CheckConstraint("lease IS NULL OR due_at IS NOT NULL", name="leased"),
        Index(None, "webhook_id", "delivery_id"),
        Index(None, "webhook_id", "state", "delivery_id"),
        partial_index("due_at IS NOT NULL", "ix_webhook_delivery_due", "webhook_id", "due_at"),
        partial_index("due_at IS NULL", "ix_webhook_delivery_finished", "attempted_at"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the deliveries that meet the filters, newest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.delivery_id.desc())

    @classmethod
    def locked(cls, webhook_id: int, delivery_id: int) -> Self | None:
        """Return a delivery of a webhook, locked; None where it has none of this id."""
        found = select(cls).filter_by(webhook_id=webhook_id, delivery_id=delivery_id)
        return db.session.scalar(found.with_for_update(key_share=True))

    def retry(self) -> None:
        """Let it be tried again at once; raise RuleViolation while it is being tried."""
        cls = type(self)
        leased = cls.delivery_id == self.delivery_id, cls.lease.is_not(None), cls.due_at > NOW
        if db.session.scalar(select(cls.delivery_id).where(*leased)):
            raise RuleViolation("delivery_id", "It is being sent now.", conflict=True)
        for name, value in as_new().items():
            setattr(self, name, value)
        db.session.flush()
        db.session.refresh(self)  # the database has set the time

    @classmethod
    def prune(cls) -> int:
        """Delete some of those that were sent or failed long ago; return how many."""
        old = select(cls.delivery_id).where(
            cls.due_at.is_(None), cls.attempted_at < utcnow() - MAX_AGE
        )
        some = (
            old.order_by(cls.attempted_at).limit(PRUNED_AT_ONCE).with_for_update(skip_locked=True)
        )
        pruned = delete(cls).where(cls.delivery_id.in_(some)).returning(cls.delivery_id)
        return len(db.session.execute(pruned).all())


def as_new() -> dict[str, Any]:
    """Return what the columns of a delivery hold that is tried from the beginning."""
    unknown = dict.fromkeys(("lease", "status_code", "error"))
    return unknown | {"state": PENDING, "attempts": 0, "due_at": NOW}


def message_id(delivery: Any) -> str:
    """Return the id by which the receiver knows a delivery, at every try."""
    return f"msg_{delivery.database_id}_{delivery.webhook_id}_{delivery.seq}"
