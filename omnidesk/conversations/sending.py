"""What a conversation lets one send on its channel."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from omnidesk.channels.models import REPLY_WINDOW, Channel
from omnidesk.conversations.deliveries import FAILED, QUEUED
from omnidesk.conversations.messages import Message
from omnidesk.conversations.read_marks import ReadMarks
from omnidesk.db import RuleViolation, db, utcnow

NO_CHAT = "The conversation has no external_chat_id."


class Sending(ReadMarks):
    """The part of a conversation that sends messages."""

    channel: Mapped[str]
    external_chat_id: Mapped[str | None]
    reply_until: Mapped[datetime | None]

    def send(self, message: Message) -> None:
        """Queue a new message where its channel has a provider.

        Raises RuleViolation for a text that is too long for it, and where it takes no answer any
        more.
        """
        channel = Channel.serving(self.channel)
        if channel is None:
            return
        channel.require_length(message.content)
        if channel.type == "whatsapp":
            self.require_window()
        if self.external_chat_id is None:
            message.set_delivery(FAILED, NO_CHAT)
        else:
            message.set_delivery(QUEUED)

    def require_window(self) -> None:
        """Raise RuleViolation where WhatsApp takes no answer: the client wrote too long ago."""
        until = self.reply_until or self.window_of_last_message()
        if until is None or until <= utcnow():
            message = "WhatsApp takes an answer only within 24 hours of the client's last message."
            raise RuleViolation("conversation_id", message, conflict=True)

    def window_of_last_message(self) -> datetime | None:
        """Return until when one may answer messages from before the channel was set up."""
        last = db.session.get(Message, self.last_of_client() or 0)
        return None if last is None else (last.sent_at or last.created_at) + REPLY_WINDOW
