"""Who wrote on a channel: a client who is known, or else a new one."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, select

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.db import db
from omnidesk.db.folding import email_key
from omnidesk.inbound.chats import Chat
from omnidesk.inbound.phone_numbers import e164, e164_keys

MAX_NAME = Client.full_name.type.length  # code points


class Writer(NamedTuple):
    """A user of a channel in a chat, and what the channel tells of them."""

    chat: Chat
    external_user_id: str | None = None
    full_name: str | None = None
    email: str | None = None
    phone: str | None = None
    other_id: str | None = None  # another id of the same user

    @property
    def user_id(self) -> str:
        """The user's id on the channel; without one, that of the chat stands for it."""
        return self.external_user_id or self.chat.external_chat_id

    def client(self) -> tuple[Client, bool]:
        """Return who it is, locked, and whether they are new; note it as their identities.

        The caller holds the lock of all identities.
        """
        identities = self.identities()
        known = next(filter(None, identities.values()), None)
        found = locked(known.client_id) if known else self.in_chat() or self.alike()
        client = found or self.new_client()
        for user_id, identity in identities.items():
            if identity is None:
                new = {"channel": self.chat.channel, "external_user_id": user_id}
                db.session.add(Identity(client_id=client.client_id, **new))
        return client, found is None

    def identities(self) -> dict[str, Identity | None]:
        """Return the identity of each id of the user, None for one that is not known."""
        ids = dict.fromkeys(filter(None, (self.user_id, self.other_id)))
        return {user_id: Identity.of(self.chat.channel, user_id) for user_id in ids}

    def shown(self) -> Client | None:
        """Return the client who has the identity, not locked, or None."""
        identity = Identity.of(self.chat.channel, self.user_id)
        return None if identity is None else db.session.get(Client, identity.client_id)

    def in_chat(self) -> Client | None:
        """Return whom the latest conversation is with, where the chat stands for its user."""
        stands_for_user = (
            self.external_user_id is None or self.other_id == self.chat.external_chat_id
        )
        latest = self.chat.latest() if stands_for_user else None
        return None if latest is None else locked(latest.client_id)

    def alike(self) -> Client | None:
        """Return the one active client with the e-mail address, or else with the phone number.

        None where there are several.
        """
        same = self.email and active_clients(Client.email_key == email_key(self.email))
        if same:
            return same[0] if len(same) == 1 else None
        number = e164(self.phone)
        if number is None:
            return None
        candidates = active_clients(Client.phone_key.in_(e164_keys(number)))
        alike = [each for each in candidates if e164(each.phone) == number]
        return alike[0] if len(alike) == 1 else None

    def new_client(self) -> Client:
        """Store and return a new client, whose name is what is best known of them."""
        name = self.full_name or self.phone or self.email or self.chat.external_chat_id
        client = Client(full_name=name[:MAX_NAME], email=self.email, phone=self.phone, active=True)
        db.session.add(client)
        db.session.flush()
        return client


def active_clients(condition: ColumnElement[bool]) -> list[Client]:
    """Return the active ones of the clients who meet a condition, locked, in the order of ids.

    The database is not asked who is active: SQLite would look at all who are.
    """
    found = select(Client).where(condition).order_by(Client.client_id)
    clients = db.session.scalars(found.with_for_update(key_share=True))
    return [client for client in clients if client.active]


def locked(client_id: int) -> Client | None:
    """Return a client, locked, or the one that they were merged into; None for none."""
    client = db.session.get(Client, client_id, with_for_update={"key_share": True})
    if client is None or client.merged_into is None:
        return client
    return locked(client.merged_into)
