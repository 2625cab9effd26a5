"""Channels: which provider brings and sends the messages of conversations, and with what."""

import json
import os
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    ForeignKey,
    Index,
    Integer,
    Select,
    String,
    UniqueConstraint,
    bindparam,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, RuleViolation, Versioned, db, enum_type, utcnow

NONE = "none"  # nobody serves its conversations, as those of a channel that has no row
TYPES = ("whatsapp", "telegram", "webhook", NONE)
MAX_SETTINGS = 4096  # bytes of JSON
MAX_TEXT = {"whatsapp": 4096, "telegram": 4096}  # code points of a message, by the channel's type
REPLY_WINDOW = timedelta(hours=24)  # WhatsApp's, after the client's last message


class Channel(Versioned, Base):
    """A channel of conversations, which are of it by its name."""

    __tablename__ = "channel"

    channel_id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    type: Mapped[str] = mapped_column(enum_type("type", *TYPES))
    settings: Mapped[str] = mapped_column(String(MAX_SETTINGS))  # a JSON object
    # A JSON object: of each secret the name of the environment variable that has it.
    secrets: Mapped[str] = mapped_column(String(MAX_SETTINGS))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    bot_first: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="bot_first"))
    reopen_hours: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        UniqueConstraint("channel", info={"field": "channel"}),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the channels that meet the filters, oldest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.channel_id)

    @classmethod
    def serving(cls, channel: str) -> "Channel | None":
        """Return the channel of this name, if messages are sent on it; else None."""
        return db.session.scalar(SERVING, {"channel": channel})

    def setting(self, name: str) -> Any:
        """Return a setting, None where it is not set."""
        return json.loads(self.settings).get(name)

    def secret(self, name: str) -> str | None:
        """Return a secret from the environment, None where it is not there."""
        variable = json.loads(self.secrets).get(name)
        return os.environ.get(variable) or None if variable else None

    def require_length(self, content: str) -> None:
        """Raise RuleViolation for a text that is too long for the channel."""
        longest = MAX_TEXT.get(self.type)
        if longest is not None and len(content) > longest:
            raise RuleViolation("content", f"At most {longest} characters on this channel.")


SERVING = select(Channel).where(
    Channel.channel == bindparam("channel"), Channel.active, Channel.type != NONE
)


class UnsupportedUpdate(Base):
    """What a provider told that was not understood, as it came; deleted after `MAX_AGE`."""

    __tablename__ = "unsupported_update"

    MAX_AGE = timedelta(days=7)

    unsupported_update_id: Mapped[int] = mapped_column(primary_key=True)
    channel_id: Mapped[int] = mapped_column(
        ForeignKey("channel.channel_id", ondelete="CASCADE"), info={"field": "channel_id"}
    )
    message_id: Mapped[int | None]  # the message that it was stored as, if it was one
    received_at: Mapped[datetime] = mapped_column(default=utcnow)
    body: Mapped[str] = mapped_column(String(65_536))

    __table_args__ = (
        Index(None, "channel_id", "unsupported_update_id"),
        Index(None, "message_id"),
        Index(None, "received_at"),
        {"sqlite_autoincrement": True},
    )
