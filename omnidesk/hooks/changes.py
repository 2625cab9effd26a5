"""What happens on a channel to messages, chats and people that are known already."""

from collections.abc import Iterable
from datetime import datetime

from omnidesk.channels.models import Channel
from omnidesk.clients.identities import Identity
from omnidesk.conversations.messages import NEEDS_TEXT, Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.db.session import read_locked
from omnidesk.db.visible import is_visible
from omnidesk.inbound.chats import Chat
from omnidesk.providers.updates import IdChanged, MessageDeleted


def lock(message: Message) -> None:
    """Wait for others who write in the conversation, lock the message, and read it anew."""
    read_locked(Conversation, message.conversation_id)
    read_locked(Message, message.message_id)


def known_message(
    channel: Channel, chat_ids: Iterable[str], external_message_id: str
) -> Message | None:
    """Return the message that the channel knows by an id, in the first of some chats that has it.

    None where none has.
    """
    for chat_id in chat_ids:
        found = Chat(channel.channel, chat_id).find(external_message_id)
        if found and found[1]:
            return found[1]
    return None


def edit_message(message: Message, content: str, edited_at: datetime | None) -> None:
    """Change the text of a message.

    Nothing where it was deleted, would be empty, or has a later text: edits come late and twice.
    """
    lock(message)
    if message.deleted_at is not None or not message.differs(content=content):
        return
    if edited_at and message.edited_at and edited_at < message.edited_at:
        return
    if is_visible(content) or message.kind not in NEEDS_TEXT:
        message.change(content=content)
        message.edited_at = edited_at or message.edited_at


def delete_message(channel: Channel, deleted: MessageDeleted) -> None:
    """Empty a message that was deleted on its channel; nothing where it is not known."""
    message = known_message(channel, deleted.chat_ids, deleted.message_id)
    if message is not None:
        lock(message)
        message.erase()


def change_id(channel: Channel, changed: IdChanged) -> None:
    """Let a client be known by another id, too, and go on in the chat that has it.

    A conversation stays with its chat: elsewhere, other messages can have the ids of its messages.
    """
    Identity.lock_all()
    known = Identity.of(channel.channel, changed.old)
    if known and Identity.of(channel.channel, changed.new) is None:
        new = {"channel": channel.channel, "external_user_id": changed.new}
        db.session.add(Identity(client_id=known.client_id, **new))
    old, new_chat = (Chat(channel.channel, chat_id) for chat_id in changed)
    conversation = active(old)
    if conversation is None:
        return
    conversation.change(active=False)
    db.session.flush()
    if active(new_chat) is None:
        db.session.add(continued(conversation, new_chat))


def active(chat: Chat) -> Conversation | None:
    """Return the active conversation of a chat, locked after its client, or None."""
    chat.lock_clients()
    found = chat.conversations().where(Conversation.active)
    return db.session.scalar(found.with_for_update(key_share=True))


def continued(conversation: Conversation, chat: Chat) -> Conversation:
    """Return a new conversation in a chat, with whom and by whom another one was."""
    assigned_to = None if conversation.has_no_assignee() else conversation.assigned_to
    return Conversation.new(
        client_id=conversation.client_id,
        handled_by_bot=conversation.handled_by_bot,
        assigned_to=assigned_to,
        **chat._asdict(),
    )
