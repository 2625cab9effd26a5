"""Conversations with clients, and their messages."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    ColumnElement,
    ForeignKey,
    Index,
    ScalarSelect,
    Select,
    String,
    UniqueConstraint,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from omnidesk.clients.models import Client
from omnidesk.db import Base, Filters, RuleViolation, Versioned, db, enum_type, utcnow
from omnidesk.db.scans import Scan, seek
from omnidesk.db.search import QUERY, by_words, text_index
from omnidesk.db.statements import Statement
from omnidesk.db.words import words_of

SENDERS = ("client", "user", "bot")


class Conversation(Versioned, Base):
    """A client's thread of messages on one channel."""

    __tablename__ = "conversation"
    logged_as = "conversation"

    conversation_id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.client_id"))
    channel: Mapped[str] = mapped_column(String(32))
    external_chat_id: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    handled_by_bot: Mapped[bool] = mapped_column(
        Boolean(create_constraint=True, name="handled_by_bot")
    )
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_message_at: Mapped[datetime | None]

    client: Mapped[Client] = relationship(viewonly=True, lazy="raise")
    last_message: Mapped["Message | None"] = relationship(
        primaryjoin=lambda: and_(
            Message.conversation_id == Conversation.conversation_id,
            Message.message_id == newest_message_id(),
        ),
        viewonly=True,
        lazy="raise",
        uselist=False,
    )

    __table_args__ = (
        Index(None, "updated_at", "conversation_id"),
        Index(None, "client_id", "updated_at", "conversation_id"),
        Index(None, "channel", "updated_at", "conversation_id"),
        Index(None, "external_chat_id", "updated_at", "conversation_id"),
        Index(None, "active", "updated_at", "conversation_id"),
        Index(None, "handled_by_bot", "updated_at", "conversation_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the conversations that meet the filters, latest activity first."""
        found = select(cls).where(*filters.conditions(cls))
        return found.order_by(cls.updated_at.desc(), cls.conversation_id.desc())

    @classmethod
    def new(cls, **fields: Any) -> Self:
        """Return a new conversation, not handled by a bot."""
        now = utcnow()
        return cls(**fields, active=True, handled_by_bot=False, created_at=now, updated_at=now)

    def change(self, **fields: Any) -> None:
        """Set these fields, which is an activity if it changes any."""
        if self.differs(**fields):
            super().change(**fields, updated_at=utcnow())

    def receive(
        self, *, sender: str, content: str, external_message_id: str | None = None
    ) -> "Message":
        """Return a new message, or the stored one that a channel sends again.

        The caller holds a lock on the conversation's row, so that a retry at the same time waits.
        Raises RuleViolation for a new message in a conversation that is not active.
        """
        if external_message_id is not None and (stored := self.message(external_message_id)):
            return stored
        if not self.active:
            raise RuleViolation(
                "conversation_id", "This conversation is not active.", conflict=True
            )
        now = utcnow()
        self.last_message_at = self.updated_at = now
        message = Message(
            conversation_id=self.conversation_id,
            sender=sender,
            content=content,
            external_message_id=external_message_id,
            created_at=now,
        )
        if sender == "user":
            Message.mark_read(self.conversation_id)
        return message

    def message(self, external_message_id: str) -> "Message | None":
        """Return the message that the channel knows by this id, or None."""
        return db.session.scalar(
            select(Message).filter_by(
                conversation_id=self.conversation_id, external_message_id=external_message_id
            )
        )


class Message(Base):
    """What a client, a member of staff or a bot has said."""

    __tablename__ = "message"
    logged_as = "message"

    message_id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.conversation_id"))
    sender: Mapped[str] = mapped_column(enum_type("sender", *SENDERS))
    content: Mapped[str] = mapped_column(String(65_536))
    external_message_id: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    read_at: Mapped[datetime | None]
    words: Mapped[str] = words_of("content")

    __table_args__ = (
        UniqueConstraint(
            "conversation_id", "external_message_id", info={"field": "external_message_id"}
        ),
        Index(None, "conversation_id", "message_id"),
        text_index("message"),
        {"sqlite_autoincrement": True},
    )

    @hybrid_property
    def unread(self) -> bool:
        """Whether it is a client's that no member of staff has read."""
        return self.sender == "client" and self.read_at is None

    @unread.inplace.expression
    @classmethod
    def _unread(cls) -> ColumnElement[bool]:
        return and_(cls.sender == "client", cls.read_at.is_(None))

    @classmethod
    def mark_read(cls, conversation_id: int) -> None:
        """Note that staff has read what the client wrote so far."""
        unread = update(cls).where(cls.conversation_id == conversation_id, cls.unread)
        db.session.execute(unread.values(read_at=utcnow()))

    @classmethod
    def matching(cls, filters: Filters, *, order: str) -> Select[Self]:
        """Select the messages that meet the filters, oldest first, or newest with `desc`.

        `after` and `before` are the ids of messages that they follow and precede.
        """
        found = select(cls).where(*filters.conditions(cls, "after", "before"))
        if "after" in filters:
            found = found.where(cls.message_id > bindparam("after"))
        if "before" in filters:
            found = found.where(cls.message_id < bindparam("before"))
        return found.order_by(cls.message_id.desc() if order == "desc" else cls.message_id.asc())

    @classmethod
    def searched(cls, filters: Filters) -> Select[Self] | Scan:
        """Select the messages with the words of a query that meet the filters, newest first.

        `client_id` is that of their conversations.
        """
        compared = ("client_id", "created_since", *QUERY)
        found = select(cls).where(*filters.conditions(cls, *compared))
        if "client_id" in filters:
            client = filters.condition("client_id", Conversation.client_id)
            found = found.join(Conversation).where(client)
        sought = by_words(cls, filters)
        if "created_since" in filters:
            since = bindparam("created_since", type_=cls.created_at.type)
            sought = sought._replace(conditions=[*sought.conditions, cls.created_at >= since])
        return seek(cls, found.order_by(cls.message_id.desc()), [sought])


def newest_message_id() -> ScalarSelect[int]:
    """Return the subquery of the id of a conversation's last message."""
    message = aliased(Message)
    newest = select(func.max(message.message_id))
    newest = newest.where(message.conversation_id == Conversation.conversation_id)
    return newest.correlate(Conversation).scalar_subquery()


Index(
    "ix_message_unread",
    Message.conversation_id,
    Message.message_id,
    sqlite_where=Message.unread,
    postgresql_where=Message.unread,
)

CONVERSATION_EXISTS = Statement(
    select(Conversation.conversation_id).where(
        Conversation.conversation_id == bindparam("conversation_id")
    )
)
