"""Messages of conversations: who wrote what, and notes among staff."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Select,
    String,
    UniqueConstraint,
    and_,
    any_,
    bindparam,
    literal_column,
    not_,
    select,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from omnidesk.conversations.deliveries import CANCELLED, OUTGOING, QUEUED, SENT, Delivered
from omnidesk.db import Base, Filters, RuleViolation, Versioned, enum_type, utcnow
from omnidesk.db.base import partial_index
from omnidesk.db.change_log import ByDialect
from omnidesk.db.search import text_index
from omnidesk.db.visible import is_visible
from omnidesk.db.words import words_of
from omnidesk.users.models import User

SENDERS = ("client", "user", "bot")
NOTE = "note"
KINDS = (
    "text",
    "image",
    "audio",
    "video",
    "file",
    "location",
    "contact",
    "sticker",
    "reaction",
    "unsupported",
    NOTE,
)
NEEDS_TEXT = ("text", NOTE)  # kinds
MAX_META = 4096  # bytes


class Message(Delivered, Versioned, Base):
    """What a client, a member of staff or a bot has said, or a note of staff's."""

    __tablename__ = "message"
    logged_as = "message"

    message_id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversation.conversation_id"))
    sender: Mapped[str] = mapped_column(enum_type("sender", *SENDERS))
    content: Mapped[str] = mapped_column(String(65_536), info={"min_length": 0})
    external_message_id: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))
    kind: Mapped[str] = mapped_column(enum_type("kind", *KINDS), server_default="text")
    meta: Mapped[str | None] = mapped_column(String(MAX_META))  # a JSON object
    sent_at: Mapped[datetime | None]
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    words: Mapped[str] = words_of("content")

    user: Mapped[User | None] = relationship(viewonly=True, lazy="raise")

    __table_args__ = (
        CheckConstraint(
            "kind NOT IN ('text', 'note') OR content <> '' OR deleted_at IS NOT NULL",
            name="content_given",
            info={"field": "content"},
        ),
        CheckConstraint(
            "sender = 'user' OR user_id IS NULL", name="by_staff", info={"field": "user_id"}
        ),
        CheckConstraint(
            "kind <> 'note' OR sender <> 'client'", name="note_by_client", info={"field": "kind"}
        ),
        UniqueConstraint(
            "conversation_id", "external_message_id", info={"field": "external_message_id"}
        ),
        Index(None, "conversation_id", "message_id"),
        Index(None, "conversation_id", "created_at", "message_id"),
        Index(None, "conversation_id", "sender", "message_id"),
        partial_index(OUTGOING, "ix_message_outgoing", "conversation_id", "message_id"),
        partial_index("delivery_state = 'queued'", "ix_message_queued", "delivery_at"),
        text_index("message"),
        {"sqlite_autoincrement": True},
    )

    @hybrid_property
    def by_client(self) -> bool:
        """Whether the client wrote it."""
        return self.sender == "client"

    @by_client.inplace.expression
    @classmethod
    def _by_client(cls) -> ColumnElement[bool]:
        return cls.sender == literal_column("'client'")

    @hybrid_property
    def is_note(self) -> bool:
        """Whether it is for staff alone."""
        return self.kind == NOTE

    @is_note.inplace.expression
    @classmethod
    def _is_note(cls) -> ColumnElement[bool]:
        return cls.kind == literal_column(f"'{NOTE}'")

    @classmethod
    def matching(cls, filters: Filters, *, order: str, notes: bool) -> Select[Self]:
        """Select the messages that meet the filters, oldest first, or newest with `desc`.

        `after` and `before` are the ids of messages that they follow and precede. Without `notes`,
        what is for staff is left out.
        """
        found = select(cls).where(*filters.conditions(cls, "after", "before"))
        if "after" in filters:
            found = found.where(cls.message_id > bindparam("after"))
        if "before" in filters:
            found = found.where(cls.message_id < bindparam("before"))
        if not notes:
            found = found.where(not_(cls.is_note))
        return found.order_by(cls.message_id.desc() if order == "desc" else cls.message_id.asc())

    @classmethod
    def by_others(cls, conversation_id: int, sender: str, user_id: int | None) -> Select[Self]:
        """Select what others than this writer wrote in a conversation, oldest first; no notes."""
        mine = and_(cls.sender == sender, cls.user_id.is_not_distinct_from(user_id))
        found = select(cls).where(cls.is_in(conversation_id), not_(cls.is_note), not_(mine))
        return found.order_by(cls.conversation_id, cls.message_id)

    @classmethod
    def newest_id(cls, conversation_id: int) -> Select[int]:
        """Select the id of the newest message in a conversation."""
        found = select(cls.message_id).where(cls.is_in(conversation_id)).limit(1)
        return found.order_by(cls.conversation_id.desc(), cls.message_id.desc())

    @classmethod
    def is_in(cls, conversation_id: int) -> ByDialect:
        """Return the condition that a message is in a conversation.

        Ordered by it and their ids, the messages are read off an index on PostgreSQL. If the
        conversation were one value and not an array of it, PostgreSQL would order them by their
        ids alone, and might look for them among the messages of all conversations.
        """
        return ByDialect(
            postgresql=cls.conversation_id == any_(array([conversation_id])),
            sqlite=cls.conversation_id == conversation_id,
        )

    @classmethod
    def new(cls, **fields: Any) -> Self:
        """Return a new message, a text unless it says otherwise."""
        return cls(**{"kind": "text", **fields}, created_at=utcnow())

    def change(self, **fields: Any) -> None:
        """Set what a channel tells of the message: its text, edited, or its id, if it has it.

        Raises RuleViolation for another id than it has, and for the text of a deleted message.
        """
        if not self.differs(**fields):
            return
        known = self.external_message_id
        if known is not None and fields.get("external_message_id", known) != known:
            raise RuleViolation("external_message_id", "It has another.", conflict=True)
        if fields.get("content", self.content) != self.content:
            self.require_text(fields["content"])
            fields["edited_at"] = utcnow()
        super().change(**fields)
        if known is None and self.external_message_id is not None and self.delivery_state:
            self.note_delivery(SENT)

    def is_sent_from_here(self) -> bool:
        """Return whether its client has it only if we send it: its channel does not know it yet."""
        return not (self.by_client or self.is_note) and self.external_message_id is None

    def require_text(self, content: str) -> None:
        """Raise RuleViolation where this cannot be the text of the message."""
        if self.deleted_at is not None:
            raise RuleViolation("content", "The message was deleted.", conflict=True)
        if self.kind in NEEDS_TEXT and not is_visible(content):
            raise RuleViolation("content", f"Must not be empty for the kind {self.kind}.")

    def erase(self) -> None:
        """Empty what was said, and note when; the row stays, so that it is not stored again.

        It is not sent any more.
        """
        if self.deleted_at is None:
            self.content, self.meta, self.deleted_at = "", None, utcnow()
        if self.delivery_state == QUEUED:
            self.set_delivery(CANCELLED)
