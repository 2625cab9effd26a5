"""Conversations with clients: who answers, since when they wait, and what nobody has read."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    bindparam,
    literal_column,
    select,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from omnidesk.clients.models import Client, lock_client
from omnidesk.conversations.messages import NOTE, Message
from omnidesk.conversations.sending import Sending
from omnidesk.conversations.turns import Turns
from omnidesk.db import Base, RuleViolation, Versioned, db, utcnow
from omnidesk.db.base import partial_index
from omnidesk.db.statements import Statement
from omnidesk.users.models import Assignable, User

SORTS = ("-updated_at", "updated_at", "waiting_since", "-waiting_since")  # the first by default
# What indexes have conversations by, so that those of a bot are not looked at for those of people.
STATE = ("active", "handled_by_bot")
FOUND_BY = {"state": STATE, "assigned_to": ("assigned_to", *STATE)}
LATEST = ("updated_at", "conversation_id")
FLAGS = {"unread": "unread_count > 0", "waiting": "waiting_since IS NOT NULL"}
# What partial indexes have, and in which order; `waiting_since` orders those who wait in others.
FLAG_ORDERS = (
    ("unread", "updated_at"),
    ("unread", "waiting_since"),
    ("waiting", "updated_at"),
)
# Whose chats are unique.
ACTIVE_CHAT: dict[str, Any] = {
    "sqlite_where": text("active = 1 AND external_chat_id IS NOT NULL"),
    "postgresql_where": text("active AND external_chat_id IS NOT NULL"),
}
ACTIVITY = {"client_id", "active"}  # the fields whose change moves a conversation in the list


class Conversation(Assignable, Sending, Turns, Versioned, Base):
    """A client's thread of messages on one channel.

    When a message is stored, a trigger sets the columns that tell of messages: see migration
    `0041_running_totals`. A note changes none of them.
    """

    __tablename__ = "conversation"
    logged_as = "conversation"

    conversation_id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.client_id"))
    channel: Mapped[str] = mapped_column(String(32))
    external_chat_id: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_message_at: Mapped[datetime | None]
    last_message_id: Mapped[int | None]
    waiting_since: Mapped[datetime | None]
    handed_off_at: Mapped[datetime | None]
    handoff_reason: Mapped[str | None] = mapped_column(String(255))

    client: Mapped[Client] = relationship(viewonly=True, lazy="raise")
    assignee: Mapped[User | None] = relationship(viewonly=True, lazy="raise")
    last_message: Mapped[Message | None] = relationship(
        primaryjoin=lambda: Message.message_id == Conversation.last_message_id,
        foreign_keys=lambda: Conversation.last_message_id,
        viewonly=True,
        lazy="raise",
    )

    __table_args__ = (
        CheckConstraint("unread_count >= 0", name="unread_count", info={"field": "unread_count"}),
        Index(
            "uq_conversation_conversation_id_client_id",  # which tickets refer to
            "conversation_id",
            "client_id",
            unique=True,
            info={"field": "conversation_id"},
        ),
        Index(
            "uq_conversation_channel_external_chat_id",
            "channel",
            "external_chat_id",
            unique=True,
            **ACTIVE_CHAT,
            info={
                "field": "external_chat_id",
                "message": "This chat has an active conversation.",
                "shown": True,
            },
        ),
        Index(None, *LATEST),
        Index(None, "client_id", *LATEST),
        Index(None, "external_chat_id", *LATEST),
        *(
            Index(f"ix_conversation_{name}_{time}", *columns, time, "conversation_id")
            for name, columns in FOUND_BY.items()
            for time in ("updated_at", "waiting_since")
        ),
        Index("ix_conversation_channel_updated_at", "channel", *STATE, *LATEST),
        *(
            partial_index(
                *(FLAGS[flag], f"ix_conversation_{name}_{flag}_{time}"),
                *(*columns, time, "conversation_id"),
            )
            for name, columns in FOUND_BY.items()
            for flag, time in FLAG_ORDERS
        ),
        {"sqlite_autoincrement": True},
    )

    @hybrid_property
    def unread(self) -> bool:
        """Whether the client wrote something that nobody has read."""
        return self.unread_count > 0

    @unread.inplace.expression
    @classmethod
    def _unread(cls) -> ColumnElement[bool]:
        return cls.unread_count > literal_column("0")

    @hybrid_property
    def waiting(self) -> bool:
        """Whether the client has not been answered yet."""
        return self.waiting_since is not None

    @waiting.inplace.expression
    @classmethod
    def _waiting(cls) -> ColumnElement[bool]:
        return cls.waiting_since.is_not(None)

    @classmethod
    def new(cls, *, assigned_to: int | None = None, **fields: Any) -> Self:
        """Return a new conversation; raise RuleViolation for an assignee who is not active."""
        now = utcnow()
        made = cls(**{"handled_by_bot": False, **fields}, active=True, turn=0)
        made.unread_count = made.client_message_count = 0
        made.created_at = made.updated_at = now
        made.assign(assigned_to)
        return made

    @classmethod
    def lock_first(cls, _conversation_id: int, *data: dict[str, Any]) -> None:
        """Lock the client who gets the conversation."""
        for client_id in (fields["client_id"] for fields in data if "client_id" in fields):
            lock_client(client_id)

    def change(self, **fields: Any) -> None:
        """Set these fields; raise RuleViolation for no client, or an assignee who is not active."""
        if not self.differs(**fields):
            return
        # PostgreSQL would first miss the conversation that its tickets refer to.
        if "client_id" in fields and db.session.get(Client, fields["client_id"]) is None:
            raise RuleViolation("client_id", "No such row.")
        if "assigned_to" in fields:
            self.assign(fields.pop("assigned_to"))
        if "handled_by_bot" in fields:
            self.hand_over(to_bot=fields.pop("handled_by_bot"))
        if self.differs(**{name: fields[name] for name in ACTIVITY & fields.keys()}):
            fields["updated_at"] = utcnow()
        super().change(**fields)

    def take_over(self, user_id: int) -> None:
        """Let people answer instead of a bot, first of all this user where nobody has it."""
        if self.has_no_assignee():  # first, or what it asks the database would store a part
            self.assign(user_id)
        self.hand_over(to_bot=False)

    def has_no_assignee(self) -> bool:
        """Return whether nobody has it who is still active."""
        active = select(User.user_id).where(User.user_id == self.assigned_to, User.active)
        return not db.session.scalar(active)

    def hand_off(self, reason: str | None, note: str | None, author: dict[str, Any]) -> None:
        """Hand it over from the bot to people, with a note to them; nothing where they have it."""
        if not self.hand_over(to_bot=False):
            return
        self.handed_off_at, self.handoff_reason = utcnow(), reason
        if note is not None:
            db.session.add(self.new_message(**author, content=note, kind=NOTE))

    def receive(
        self,
        *,
        provider: str | None = None,
        after_message_id: int | None = None,
        turn: int | None = None,
        **fields: Any,
    ) -> Message:
        """Return a new message, or the stored one that a channel sends again.

        The caller holds a lock on the conversation's row, so that a retry at the same time waits.
        Raises RuleViolation for a new message in a conversation that is not active, of a bot whose
        turn it is not, after others that its writer has not seen, or that its provider cannot send.
        """
        external_id = fields.get("external_message_id")
        if external_id is not None and (stored := self.message(external_id)):
            return stored
        if not self.active:
            raise RuleViolation(
                "conversation_id", "This conversation is not active.", conflict=True
            )
        if fields["sender"] == "bot" and fields.get("kind") != NOTE:
            self.require_turn(turn)
        if after_message_id is not None:
            self.require_seen(after_message_id, fields)
        message = self.new_message(**fields)
        if provider is not None and message.is_sent_from_here():
            self.send(message, provider)
        return message

    def new_message(self, **fields: Any) -> Message:
        """Return a new message in this conversation."""
        return Message.new(conversation_id=self.conversation_id, **fields)

    def message(self, external_message_id: str) -> Message | None:
        """Return the message that the channel knows by this id, or None."""
        return db.session.scalar(
            select(Message).filter_by(
                conversation_id=self.conversation_id, external_message_id=external_message_id
            )
        )


CONVERSATION_EXISTS = Statement(
    select(Conversation.conversation_id).where(
        Conversation.conversation_id == bindparam("conversation_id")
    )
)
