"""Channels: which provider brings and sends the messages of conversations, and with what."""

import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Select,
    String,
    UniqueConstraint,
    and_,
    delete,
    literal_column,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from config import MAX_HOURS
from omnidesk.channels.setups import NONE, SETUPS, Given, known_secrets, with_defaults
from omnidesk.db import Base, Filters, Versioned, db, enum_type, utcnow

__all__ = ["NONE", "REPLY_WINDOW", "SERVES", "Channel", "UnsupportedUpdate"]

MAX_SETTINGS = 4096  # bytes of JSON
REPLY_WINDOW = timedelta(hours=24)  # WhatsApp's, after the client's last message
COMPACT = (",", ":")


class Channel(Versioned, Base):
    """A channel of conversations, which are of it by its name."""

    __tablename__ = "channel"

    channel_id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(32))
    type: Mapped[str] = mapped_column(enum_type("type", *SETUPS))
    settings: Mapped[str] = mapped_column(String(MAX_SETTINGS))  # a JSON object
    # A JSON object: of each secret the name of the environment variable that has it.
    secrets: Mapped[str] = mapped_column(String(MAX_SETTINGS))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    bot_first: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="bot_first"))
    reopen_hours: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        UniqueConstraint("channel", info={"field": "channel"}),
        CheckConstraint(
            f"reopen_hours BETWEEN 0 AND {MAX_HOURS}",
            name="reopen_hours",
            info={"field": "reopen_hours"},
        ),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the channels that meet the filters, oldest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.channel_id)

    @classmethod
    def new(cls, *, settings: Given, secrets: Given, **fields: Any) -> Self:
        """Return a new channel; raise RuleViolation for a setup that is not one of its type."""
        kind = fields["type"]
        return cls(
            **fields,
            settings=json.dumps(with_defaults(kind, settings), separators=COMPACT),
            secrets=json.dumps(known_secrets(kind, secrets), separators=COMPACT),
        )

    @classmethod
    def named(cls, channel: str) -> "Channel | None":
        """Return the channel of this name, None where it has no row."""
        return db.session.scalar(select(Channel).filter_by(channel=channel))

    @classmethod
    def serving(cls, channel: str) -> "Channel | None":
        """Return the channel of this name, if messages are sent on it; else None."""
        return db.session.scalar(select(Channel).where(Channel.channel == channel, SERVES))

    def change(self, **fields: Any) -> None:
        """Set these fields; of the settings and the secrets, those that are named.

        One that is null gets its default, or is forgotten. Raises RuleViolation for a setup that is
        not one of the type.
        """
        for name, complete in (("settings", with_defaults), ("secrets", known_secrets)):
            if name in fields:
                values = complete(self.type, json.loads(getattr(self, name)) | fields[name])
                fields[name] = json.dumps(values, separators=COMPACT)
        super().change(**fields)

    def setting(self, name: str) -> Any:
        """Return a setting, None where it is not set."""
        return json.loads(self.settings).get(name)

    def secret(self, name: str) -> str | None:
        """Return a secret from the environment, None where it is not there."""
        variable = json.loads(self.secrets).get(name)
        return os.environ.get(variable) or None if variable else None

    def without_secrets(self, text: str) -> str:
        """Return a text without the channel's secrets, if a provider has repeated one."""
        for name in json.loads(self.secrets):
            if secret := self.secret(name):
                text = text.replace(secret, "***")
        return text


# Whether messages are sent on it.
SERVES = and_(Channel.active, Channel.type != literal_column(f"'{NONE}'"))


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

    @classmethod
    def forget(cls, message_ids: Sequence[int]) -> None:
        """Delete what these messages were made of."""
        db.session.execute(delete(cls).where(cls.message_id.in_(message_ids)))
