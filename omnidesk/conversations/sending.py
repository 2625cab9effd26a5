"""What a conversation lets one send on its channel."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from omnidesk.channels.models import REPLY_WINDOW, Channel
from omnidesk.conversations.deliveries import FAILED, QUEUED, RETRIED, Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.read_marks import ReadMarks
from omnidesk.conversations.sendable import require_sendable
from omnidesk.db import RuleViolation, db, utcnow

NO_CHAT = "The conversation has no external_chat_id."


class Sending(ReadMarks):
    """The part of a conversation that sends messages."""

    channel: Mapped[str]
    external_chat_id: Mapped[str | None]
    reply_until: Mapped[datetime | None]

    def send(self, message: Message, provider: str) -> None:
        """Queue a new message for the provider of the channel.

        Raises RuleViolation for one that the provider cannot send, and where it takes no answer any
        more.
        """
        require_sendable(provider, message)
        if provider == "whatsapp":
            self.require_window()
        if self.external_chat_id is None:
            message.set_delivery(FAILED, NO_CHAT)
        else:
            message.set_delivery(QUEUED)

    def retry(self, message_id: int) -> Message | None:
        """Queue a message anew that was not sent, or let one that is queued be sent at once.

        Returns None where there is no such message. Raises RuleViolation for one that was sent or
        may not be. The caller holds the conversation's lock.
        """
        Outbox.lock(self.conversation_id)
        lock = {"key_share": True}
        message: Message | None = db.session.get(Message, message_id, with_for_update=lock)
        if message is None or message.conversation_id != self.conversation_id:
            return None
        if message.delivery_state not in RETRIED:
            state = message.delivery_state or "not sent from here"
            raise RuleViolation("delivery", f"It is {state}.", conflict=True)
        channel = self.require_sending(message)
        if message.delivery_state != QUEUED:
            message.set_delivery(QUEUED)
        Outbox.make_due(self.conversation_id, channel.channel_id)
        return message

    def require_sending(self, message: Message) -> Channel:
        """Return the channel that sends a message; raise RuleViolation where none does now."""
        channel = Channel.serving(self.channel)
        if channel is None:
            raise RuleViolation("channel", "Nothing is sent on it now.", conflict=True)
        if self.external_chat_id is None:
            raise RuleViolation("external_chat_id", NO_CHAT, conflict=True)
        if message.deleted_at is not None:
            raise RuleViolation("content", "The message was deleted.", conflict=True)
        if channel.type == "whatsapp":
            self.require_window()
        return channel

    def require_window(self) -> None:
        """Raise RuleViolation where WhatsApp takes no answer: the client wrote too long ago."""
        until = self.reply_until or self.window_of_last_message()
        if until is None or until <= utcnow():
            message = "WhatsApp takes an answer only within 24 hours of the client's last message."
            raise RuleViolation("conversation_id", message, conflict=True)

    def window_of_last_message(self) -> datetime | None:
        """Return until when one may answer messages from before the channel was set up."""
        last = db.session.get(Message, self.last_of_client() or 0)
        if last is None:
            return None
        return min(last.sent_at or last.created_at, last.created_at) + REPLY_WINDOW
