"""What became of messages that were sent to clients, and which are yet to be sent."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    bindparam,
    case,
    column,
    exists,
    select,
    table,
    text,
    update,
)
from sqlalchemy.orm import Mapped, composite, declared_attr, mapped_column

from omnidesk.db import Base, db, enum_type, utcnow
from omnidesk.db.clock import NOW
from omnidesk.db.inserts import insert_or_conflict

QUEUED, SENDING, UNKNOWN, SENT = "queued", "sending", "unknown", "sent"
FAILED, DELIVERED, READ, CANCELLED = "failed", "delivered", "read", "cancelled"
# From low to high: news of a message counts only if it is higher. Providers tell them in any order.
RANKS = (CANCELLED, QUEUED, SENDING, UNKNOWN, SENT, FAILED, DELIVERED, READ)
OUTGOING = "delivery_state IN ('queued', 'sending')"
RETRIED = (QUEUED, FAILED, UNKNOWN, CANCELLED)  # what can be sent once more, as people ask
MAX_ERROR = 500  # code points


@dataclass(frozen=True)
class Delivery:
    """What became of a message, since when, and why."""

    state: str
    at: datetime
    error: str | None


class Delivered:
    """The part of a message that knows what became of it; null for what is not ours to send."""

    message_id: Mapped[int]
    conversation_id: Mapped[int]
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
        if self.delivery_state == QUEUED != state:
            Outbox.pass_over(self.conversation_id, self.message_id)
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

    @classmethod
    def lock(cls, conversation_id: int) -> None:
        """Lock the row of a conversation, if it has one: before its messages, as all do."""
        db.session.execute(
            select(cls.conversation_id).filter_by(conversation_id=conversation_id).with_for_update()
        )

    @classmethod
    def make_due(cls, conversation_id: int, channel_id: int) -> None:
        """Let the conversation's next message be sent now, as if it were tried for the first time.

        While somebody sends one, its row stays: who has the lease goes on with the next.
        """
        names = {"conversation_id": conversation_id, "channel_id": channel_id}
        db.session.execute(due_statement(db.engine.name), names)

    @classmethod
    def pass_over(cls, conversation_id: int, message_id: int) -> None:
        """Let what follows a message that is not to be sent any more be sent now, if it was next.

        It would wait for the next try of that message. While somebody sends one, its row stays.
        """
        names = {"conversation": conversation_id, "message": message_id}
        with db.session.no_autoflush:
            db.session.execute(PASS_OVER, names, execution_options={"synchronize_session": False})


MESSAGE = table("message", column("conversation_id"), column("message_id"))
FREE = (
    select(Outbox.conversation_id)
    .where(Outbox.conversation_id == bindparam("conversation"), Outbox.lease.is_(None))
    .where(
        ~exists().where(
            MESSAGE.c.conversation_id == bindparam("conversation"),
            MESSAGE.c.message_id < bindparam("message"),
            text(OUTGOING),
        )
    )
    .with_for_update(skip_locked=True)  # others lock it before the message
)
PASS_OVER = update(Outbox).where(Outbox.conversation_id.in_(FREE)).values(due_at=NOW, attempts=0)


@cache
def due_statement(database: str) -> Any:
    """Return the upsert of a row that is due now."""
    table = Outbox.__table__
    names = ("conversation_id", "channel_id")
    given: dict[str, Any] = {name: bindparam(name) for name in names}
    new = insert_or_conflict(table, database).values(**given, due_at=NOW, attempts=0)
    free = table.c.lease.is_(None)
    return new.on_conflict_do_update(
        index_elements=[table.c.conversation_id],
        set_={
            "channel_id": new.excluded.channel_id,
            "due_at": case((free, new.excluded.due_at), else_=table.c.due_at),
            "attempts": case((free, 0), else_=table.c.attempts),
        },
    )
