"""How many messages the client of a conversation has written, up to any of its messages."""

from sqlalchemy import ForeignKey, bindparam, func, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.conversations.messages import Message
from omnidesk.db import Base, db


class RunningTotal(Base):
    """How many messages of the client a conversation has up to and including one of them.

    A trigger stores one whenever a conversation's `client_message_count` passes a multiple of 128,
    so that nobody counts many more. Messages are never deleted, nor moved to other conversations.
    """

    __tablename__ = "running_total"

    conversation_id: Mapped[int] = mapped_column(
        ForeignKey("conversation.conversation_id"), primary_key=True, autoincrement=False
    )
    message_id: Mapped[int] = mapped_column(
        ForeignKey("message.message_id"), primary_key=True, autoincrement=False
    )
    client_message_count: Mapped[int]

    @classmethod
    def up_to(cls, conversation_id: int, message_id: int) -> int:
        """Return how many messages of the client a conversation has up to a message."""
        parameters = {"in_conversation": conversation_id, "up_to": message_id}
        latest = db.session.execute(LATEST, parameters).first()
        counted_to, count = latest or (0, 0)
        later = db.session.scalar(LATER, {**parameters, "counted_to": counted_to})
        return count + (later or 0)


# Built once: to build a select takes as long as to run it.
LATEST = (
    select(RunningTotal.message_id, RunningTotal.client_message_count)
    .where(
        RunningTotal.conversation_id == bindparam("in_conversation"),
        RunningTotal.message_id <= bindparam("up_to"),
    )
    .order_by(RunningTotal.message_id.desc())
    .limit(1)
)
LATER = select(func.count()).where(
    Message.conversation_id == bindparam("in_conversation"),
    Message.by_client,
    Message.message_id > bindparam("counted_to"),
    Message.message_id <= bindparam("up_to"),
)
