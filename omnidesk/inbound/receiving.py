"""The storing of inbound messages: each once, whatever happens at the same time."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.exc import IntegrityError

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.conversations.messages import NOTE, Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.db.constraints import rule_violation
from omnidesk.inbound.chats import Chat
from omnidesk.inbound.writers import Writer

TRIES = 5
RETURNED = "The client was inactive, and is active again since they wrote."
T = TypeVar("T")


class Received(NamedTuple):
    """A stored message, and what was made for it. It is not new where it was sent again."""

    message: Message
    conversation: Conversation
    client: Client | None
    is_new: bool
    created: dict[str, bool]


def receive(
    *,
    channel: str,
    external_chat_id: str,
    external_user_id: str | None,
    client: dict[str, Any] | None,
    handled_by_bot: bool | None = None,
    **message: Any,
) -> Received:
    """Store a message of a client, or return the stored one that a channel sends again."""
    writer = Writer(Chat(channel, external_chat_id), external_user_id, **(client or {}))
    return until_stored(lambda: store(writer, message, handled_by_bot=handled_by_bot))


def until_stored(act: Callable[[], T]) -> T:
    """Return what a function returns that stores messages in a transaction of its own.

    Others who write at the same time may begin a conversation, or store a message, first: then the
    database refuses ours, and all of it is done anew.
    """
    for _ in range(TRIES - 1):
        try:
            return act()
        except IntegrityError as error:
            violation = rule_violation(error)
            if violation is None or violation.status != 409:
                raise
            db.session.rollback()
    return act()


def store(
    writer: Writer,
    fields: dict[str, Any],
    *,
    handled_by_bot: bool | None,
    sender: str = "client",
    is_locked: bool = False,
) -> Received:
    """Store a message in a client's chat; raise IntegrityError where others are faster.

    The sender is `user` for what the business wrote on the channel itself. `is_locked` says that
    the caller holds the lock of all identities, and may have stored something before.
    """
    chat = writer.chat
    if is_locked:
        chat.lock_clients()
    usual = chat.usual(writer.user_id)
    if usual is None and not is_locked:
        # A conversation that was closed meanwhile is still locked: it would be waited for in vain.
        db.session.rollback()
        Identity.lock_all()
    found = chat.find(fields["external_message_id"])
    if found and found[1]:
        return sent_again(found[1], usual[1] if usual else writer.shown())
    is_new = begun = False
    if usual is None:
        client, is_new = writer.client()
        if found and not is_locked:
            chat.lock_clients()
        conversation, begun = chat.open(
            client.client_id, handled_by_bot=handled_by_bot, is_new=found is None
        )
        if sender == "client":
            reactivate(client, conversation)
    else:
        conversation, client = usual
    message = conversation.new_message(sender=sender, **fields)
    db.session.add(message)
    db.session.flush()
    db.session.refresh(conversation)  # a trigger has moved it
    created = {"client": is_new, "conversation": begun}
    return Received(message, conversation, client, is_new=True, created=created)


def sent_again(message: Message, writer: Client | None) -> Received:
    """Return a stored message as it is now, with its writer, or else whom the conversation is with.

    Nothing is locked for it.
    """
    conversation = db.session.get_one(Conversation, message.conversation_id)
    client = writer or db.session.get_one(Client, conversation.client_id)
    nothing = {"client": False, "conversation": False}
    return Received(message, conversation, client, is_new=False, created=nothing)


def reactivate(client: Client, conversation: Conversation) -> None:
    """Make an inactive client active who writes again, and leave a note to staff."""
    if not client.active:
        client.change(active=True)
        db.session.add(conversation.new_message(sender="bot", kind=NOTE, content=RETURNED))
        db.session.flush()
