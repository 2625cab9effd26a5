"""What of a conversation was read."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.conversations.messages import Message
from omnidesk.conversations.running_totals import RunningTotal
from omnidesk.db import RuleViolation, db

MAX_SHOWN = 20  # messages that somebody has not seen


class ReadMarks:
    """The part of a conversation that knows how far staff has read.

    `unread_count` is how many messages of the client follow `read_up_to`, and
    `client_message_count` how many there are.
    """

    conversation_id: Mapped[int]
    read_up_to: Mapped[int | None]
    unread_count: Mapped[int] = mapped_column(server_default="0")
    client_message_count: Mapped[int] = mapped_column(server_default="0")

    def read(self, up_to_message_id: int) -> None:
        """Mark all up to a message as read; raise RuleViolation if it is not in here."""
        self.require_message(up_to_message_id, "up_to_message_id")
        self.mark(max(up_to_message_id, self.read_up_to or 0))

    def unread_from(self, message_id: int | None) -> None:
        """Mark all from a message on as unread, by default the client's last.

        Raises RuleViolation for a message that is not in here.
        """
        if message_id is None:
            message_id = self.last_of_client()
            if message_id is None:
                return
        else:
            self.require_message(message_id, "from_message_id")
        newest = Message.newest_id(self.conversation_id)
        last_before = db.session.scalar(newest.where(Message.message_id < message_id)) or 0
        self.mark(min(last_before, self.read_up_to or 0))

    def mark(self, read_up_to: int) -> None:
        """Set what is read, and how much follows it; 0 stands for nothing."""
        read = RunningTotal.up_to(self.conversation_id, read_up_to)  # before anything is set
        self.read_up_to = read_up_to or None
        self.unread_count = self.client_message_count - read

    def last_of_client(self) -> int | None:
        """Return the id of the client's last message, or None."""
        newest = Message.newest_id(self.conversation_id)
        return db.session.scalar(newest.where(Message.by_client))

    def require_message(self, message_id: int, field: str) -> None:
        """Raise RuleViolation on the field unless the message is in this conversation."""
        here = select(Message.message_id).filter_by(
            conversation_id=self.conversation_id, message_id=message_id
        )
        if not db.session.scalar(here):
            raise RuleViolation(field, "No message of this conversation.")

    def require_seen(self, after_message_id: int, fields: dict[str, Any]) -> None:
        """Raise RuleViolation where others have written after the last message that one has seen.

        It shows what they wrote, oldest first, at most `MAX_SHOWN`.
        """
        self.require_message(after_message_id, "after_message_id")
        unseen = Message.by_others(self.conversation_id, fields["sender"], fields.get("user_id"))
        unseen = unseen.where(Message.message_id > after_message_id)
        if newer := db.session.scalars(unseen.limit(MAX_SHOWN)).all():
            message = "Others have written after this message."
            raise RuleViolation("after_message_id", message, conflict=True, current=newer)
