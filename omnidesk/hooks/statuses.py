"""What became of messages that we have sent, as providers tell it: in any order, late or twice."""

from sqlalchemy import Select, select

from omnidesk.channels.models import Channel
from omnidesk.clients.models import Client
from omnidesk.conversations.deliveries import (
    CANCELLED,
    FAILED,
    QUEUED,
    RANKS,
    SENDING,
    SENT,
    UNKNOWN,
)
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.hooks.changes import known_message, lock
from omnidesk.providers.updates import DeliveryStatus


def note_status(channel: Channel, status: DeliveryStatus) -> None:
    """Note what became of a message, if it is one of ours and that is news."""
    message = sent_message(channel, status)
    if message is None or not is_news(message, status):
        return
    lock(message)
    if is_news(message, status):
        take_id(message, status)
        message.note_delivery(status.state, status.error)


def sent_message(channel: Channel, status: DeliveryStatus) -> Message | None:
    """Return the message that a status is about: by our id, or else by that of its channel."""
    if status.message_id is not None:
        return db.session.scalar(ours(channel).where(Message.message_id == status.message_id))
    return known_message(channel, status.chat_ids, status.external_message_id or "")


def ours(channel: Channel) -> Select[Message]:
    """Select the messages of a channel, without those of clients who are erased."""
    messages = select(Message).join(
        Conversation, Conversation.conversation_id == Message.conversation_id
    )
    messages = messages.join(Client, Client.client_id == Conversation.client_id)
    return messages.where(Conversation.channel == channel.channel, Client.erasure.is_(None))


def is_news(message: Message, status: DeliveryStatus) -> bool:
    """Return whether a status is about the last time that a message was sent, and tells more.

    What is sent again, or is to be, may have been sent and have failed before: that is known. Only
    that the client has it is news then.
    """
    state = message.delivery_state
    if state is None or not is_same(message, status):
        return False
    if status.state == FAILED and state in (QUEUED, CANCELLED):
        return False
    if status.state in (SENT, FAILED) and is_of_before(message, status):
        return False
    is_named = status.external_message_id in (None, message.external_message_id)
    return not is_named or RANKS.index(status.state) > RANKS.index(state)


def is_same(message: Message, status: DeliveryStatus) -> bool:
    """Return whether the channel's id in a status is the message's, or may be."""
    known = message.external_message_id
    if known is None or status.external_message_id in (None, known):
        return True
    return message.delivery_state in (SENDING, UNKNOWN)  # sent again, whose answer is not there yet


def is_of_before(message: Message, status: DeliveryStatus) -> bool:
    """Return whether a status has the id of a time before the last, which has none yet."""
    known = message.external_message_id
    is_of_known = known is not None and status.external_message_id == known
    return is_of_known and RANKS.index(message.delivery_state or SENT) < RANKS.index(SENT)


def take_id(message: Message, status: DeliveryStatus) -> None:
    """Note the channel's id of a message, unless another one in its conversation has it."""
    external_id = status.external_message_id
    if external_id is None or external_id == message.external_message_id:
        return
    same = select(Message.message_id).filter_by(
        conversation_id=message.conversation_id, external_message_id=external_id
    )
    if db.session.scalar(same) is None:
        message.external_message_id = external_id
