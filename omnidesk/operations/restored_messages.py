"""Messages of a copy of a desk that were to be sent when it was made."""

from sqlalchemy import Connection, delete, text, update

from omnidesk.conversations.deliveries import OUTGOING, UNKNOWN, Outbox
from omnidesk.conversations.messages import Message
from omnidesk.db import utcnow

RESTORED = "Restored from a backup: it may have been sent."


def note_unknown(connection: Connection) -> None:
    """Let nothing be sent that the copy has to send: it may have been sent since.

    It is `unknown` from now on, and people can send it again.
    """
    outgoing = update(Message).where(text(OUTGOING)).values(Message.as_changed())
    unknown = {"delivery_state": UNKNOWN, "delivery_at": utcnow(), "delivery_error": RESTORED}
    connection.execute(outgoing.values(unknown))
    connection.execute(delete(Outbox))
