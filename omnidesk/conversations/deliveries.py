"""What became of messages that were sent to clients, and which are yet to be sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, composite, declared_attr, mapped_column

from omnidesk.db import Base, enum_type, utcnow

QUEUED, SENDING, UNKNOWN, SENT = "queued", "sending", "unknown", "sent"
FAILED, DELIVERED, READ, CANCELLED = "failed", "delivered", "read", "cancelled"
# From low to high: news of a message counts only if it is higher. Providers tell them in any order.
RANKS = (CANCELLED, QUEUED, SENDING, UNKNOWN, SENT, FAILED, DELIVERED, READ)
OUTGOING = "delivery_state IN ('queued', 'sending')"
MAX_ERROR = 500  # code points


@dataclass(frozen=True)
class Delivery:
    """What became of a message, since when, and why."""

    state: str
    at: datetime
    error: str | None


class Delivered:
    """The part of a message that knows what became of it; null for what is not ours to send."""

    delivery_state: Mapped[str | None] = mapped_column(enum_type("delivery_state", *RANKS))
    delivery_at: Mapped[datetime | None]
    delivery_error: Mapped[str | None] = mapped_column(String(MAX_ERROR))

    @declared_attr
    @classmethod
    def delivery(cls) -> Mapped[Delivery | None]:
        """Return the three columns as one value."""
        columns = ("delivery_state", "delivery_at", "delivery_error")
        return composite(Delivery, *columns, return_none_on=lambda state, *_: state is None)

    def note_delivery(self, state: str, error: str | None = None) -> bool:
        """Note what became of it, if that is news; return whether it is."""
        known = self.delivery_state
        if known is not None and RANKS.index(state) <= RANKS.index(known):
            return False
        self.set_delivery(state, error)
        return True

    def set_delivery(self, state: str, error: str | None = None) -> None:
        """Set what became of it, also back to `queued` for another try."""
        self.delivery_state, self.delivery_at = state, utcnow()
        self.delivery_error = error and error[:MAX_ERROR]


class Outbox(Base):
    """A conversation with messages to send, which are sent one after the other.

    A trigger adds it with its first queued message; whoever has sent the last one deletes it, while
    they hold its lock. The message that comes next is the first that is `queued` or `sending`.
    """

    __tablename__ = "outbox"

    conversation_id: Mapped[int] = mapped_column(
        ForeignKey("conversation.conversation_id"), primary_key=True, autoincrement=False
    )
    channel_id: Mapped[int] = mapped_column(ForeignKey("channel.channel_id"))
    due_at: Mapped[datetime]  # when it is next tried, or whoever has the lease has lost it
    lease: Mapped[str | None] = mapped_column(String(32))
    attempts: Mapped[int] = mapped_column(server_default="0")  # of the message that comes next

    __table_args__: Any = (Index(None, "channel_id", "due_at"),)
