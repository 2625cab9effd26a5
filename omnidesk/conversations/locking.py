"""A conversation that is locked, and who sends its messages."""

from sqlalchemy import and_, bindparam, select

from omnidesk.channels.models import SERVES, Channel
from omnidesk.conversations.models import Conversation
from omnidesk.db import db

# Built once, and one statement for both rows: no other write is as frequent as a message.
LOCKED = (
    select(Conversation, Channel.type)
    .outerjoin(Channel, and_(Channel.channel == Conversation.channel, SERVES))
    .where(Conversation.conversation_id == bindparam("the_id"))
    .with_for_update(of=Conversation, key_share=True)
)


def locked_conversation(conversation_id: int) -> tuple[Conversation, str | None] | None:
    """Return a conversation, and the type of its channel if messages are sent on it; or None."""
    found = db.session.execute(LOCKED, {"the_id": conversation_id}).first()
    return None if found is None else (found[0], found[1])
