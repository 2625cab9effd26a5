"""Chats: the conversations that one channel knows by one id, of which one at most is active."""

from datetime import timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import Select, and_, bindparam, or_, select

from omnidesk.channels.models import Channel
from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.db.scans import few

# Built once: to build a select takes as long as to run it.
OF_CHAT = (
    Conversation.channel == bindparam("channel"),
    few(Conversation.external_chat_id == bindparam("external_chat_id")),
)
USUAL = (
    select(Conversation, Client)
    .join(Client, Client.client_id == Conversation.client_id)
    .join(Identity, Identity.client_id == Client.client_id)
    .where(*OF_CHAT, Conversation.active, Client.active)
    .where(Identity.channel == bindparam("channel"))
    .where(Identity.external_user_id == bindparam("user_id"))
    .with_for_update(of=Conversation, key_share=True)
)
CLIENTS = (
    select(Client.client_id)
    .join(Conversation, Conversation.client_id == Client.client_id)
    .where(*OF_CHAT)
    .order_by(Client.client_id)
    .with_for_update(of=Client, read=True, key_share=True)
)
FOUND = (
    select(Conversation.conversation_id, Message)
    .outerjoin(
        Message,
        and_(
            Message.conversation_id == Conversation.conversation_id,
            Message.external_message_id == bindparam("external_message_id"),
        ),
    )
    .where(*OF_CHAT)
    .order_by(Message.message_id.is_(None), Message.message_id)
    .limit(1)
)


class Chat(NamedTuple):
    """A chat on a channel."""

    channel: str
    external_chat_id: str

    def conversations(self) -> Select[Conversation]:
        """Select the conversations of the chat."""
        of_chat = few(Conversation.external_chat_id == self.external_chat_id)
        return select(Conversation).where(Conversation.channel == self.channel, of_chat)

    def usual(self, user_id: str) -> tuple[Conversation, Client] | None:
        """Return the active conversation, locked, and its client, if the channel's user is that.

        None where a client or a conversation must be found, made or made active first.
        """
        return db.session.execute(USUAL, {**self._asdict(), "user_id": user_id}).first()

    def lock_clients(self) -> None:
        """Lock the clients of the conversations, before one of these is changed twice.

        At the second change PostgreSQL locks the client. Whoever erases a client locks them first.
        """
        db.session.execute(CLIENTS, self._asdict())

    def find(self, external_message_id: str) -> tuple[int, Message | None] | None:
        """Return the message that the channel knows by this id, and its conversation's id.

        It can be in any conversation of the chat. Without the message, it is the id of one of them;
        None where the chat has no conversation.
        """
        parameters = {**self._asdict(), "external_message_id": external_message_id}
        return db.session.execute(FOUND, parameters).first()

    def latest(self) -> Conversation | None:
        """Return the conversation with the latest activity, or None."""
        latest = (Conversation.updated_at.desc(), Conversation.conversation_id.desc())
        return db.session.scalar(self.conversations().order_by(*latest).limit(1))

    def open(
        self, client_id: int, *, handled_by_bot: bool | None, is_new: bool
    ) -> tuple[Conversation, bool]:
        """Return the active conversation, locked, and whether it is new, as in a new chat.

        Where none is active, the last is opened again if its last message is recent enough; else
        one with this client begins, which a bot answers first if the channel says so and nothing
        else does. The caller holds the lock of all identities, and unless the chat is new those of
        its clients. Raises IntegrityError where others begin or open one meanwhile.
        """
        found = None if is_new else self.active_or_recent()
        if found is None:
            by_bot = self.is_bot_first() if handled_by_bot is None else handled_by_bot
            made = {"client_id": client_id, "handled_by_bot": by_bot, **self._asdict()}
            conversation = Conversation.new(**made)
            db.session.add(conversation)
        else:
            conversation = found
            conversation.change(active=True)
        db.session.flush()
        return conversation, found is None

    def active_or_recent(self) -> Conversation | None:
        """Return the active conversation, or the last with a message that is recent, locked.

        None where there is neither.
        """
        since = utcnow() - timedelta(hours=self.reopen_hours())
        found = self.conversations().where(
            or_(Conversation.active, Conversation.last_message_at >= since)
        )
        first = (Conversation.active.desc(), Conversation.last_message_at.desc())
        found = found.order_by(*first, Conversation.conversation_id.desc()).limit(1)
        return db.session.scalar(found.with_for_update(key_share=True))

    def reopen_hours(self) -> int:
        """Return how old the last message of a conversation may be that is opened again."""
        hours = db.session.scalar(select(Channel.reopen_hours).filter_by(channel=self.channel))
        default: int = current_app.config["REOPEN_HOURS"]
        return default if hours is None else hours

    def is_bot_first(self) -> bool:
        """Return whether a bot answers first on the channel, and not people."""
        return bool(db.session.scalar(select(Channel.bot_first).filter_by(channel=self.channel)))
