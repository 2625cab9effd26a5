"""Which rows are a client's, and which of their columns hold texts about a person."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Integer,
    Select,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.dialects import postgresql

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import ERASED, Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db
from omnidesk.db.change_log import ByDialect, Change
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket

PAGE = 500  # rows that are read at once

# What others call a row, and what people wrote. All other columns stay when a client is erased.
TEXTS: dict[type[Base], tuple[str, ...]] = {
    Client: ("full_name", "email", "phone", "external_id"),
    Identity: ("external_user_id",),
    Conversation: ("external_chat_id", "handoff_reason"),
    Message: ("content", "external_message_id", "meta", "delivery_error"),
    Ticket: ("subject", "description"),
    Event: ("title", "description"),
    Comment: ("body",),
}
TEXT_COLUMNS = {
    entity: {name: entity.__table__.columns[name] for name in names}
    for entity, names in TEXTS.items()
}


class RowKind(NamedTuple):
    """A kind of rows, and the kind of rows by which they are a client's."""

    entity: Any
    parent: Any

    @property
    def name(self) -> str:
        """The name of the kind in the change log."""
        return str(self.entity.logged_as)

    @property
    def link(self) -> Any:
        """The column that names the parent."""
        return getattr(self.entity, self.parent.primary_key().name)

    def of(self, client_id: int, *columns: Any) -> Select[Any]:
        """Select columns of the client's rows of this kind."""
        found = select(*columns).select_from(self.entity)
        if self.parent is Client:
            return found.where(self.link == client_id)
        key = self.parent.primary_key()
        return found.join(self.parent, key == self.link).where(self.parent.client_id == client_id)

    def count(self, client_id: int) -> int:
        """Return how many rows of this kind the client has."""
        return int(db.session.scalar(self.of(client_id, func.count())) or 0)

    def parents(self, client_id: int, since: int) -> list[int]:
        """Return the ids of the rows that may have such rows, from an id on, in order."""
        if self.parent is Client:
            return [client_id]
        key = self.parent.primary_key()
        theirs = select(key).where(self.parent.client_id == client_id, key >= since).order_by(key)
        return [*db.session.scalars(theirs)]

    def walk(self, client_id: int, since: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Yield the ids of the client's rows after a position, each as one: its parent's, its own.

        Parents are locked first: what others add to them is committed then, or refused.
        """
        parent, last = since
        parents = self.parents(client_id, parent)
        for first in range(0, len(parents), PAGE):
            for parent_id in self.locked_with_rows(parents[first : first + PAGE]):
                after = last if parent_id == parent else 0
                yield from ((parent_id, row_id) for row_id in self.below(parent_id, after))

    def locked_with_rows(self, parent_ids: list[int]) -> list[int]:
        """Lock rows of the parent's kind; return the ids of those that have rows below, in order.

        Many have none: to look at each would take longer than a request may.
        """
        key = self.parent.primary_key()
        some = select(key).where(key.in_(parent_ids)).order_by(key)
        db.session.execute(some.with_for_update())
        return [*db.session.scalars(some.where(exists().where(self.link == key)))]

    def below(self, parent_id: int, after: int) -> Iterator[int]:
        """Yield the ids of the rows below one, after an id."""
        key = self.entity.primary_key()
        rows = select(key).where(self.link == parent_id).order_by(key).limit(PAGE)
        found: Sequence[int] = range(PAGE)
        while len(found) == PAGE:
            found = db.session.scalars(rows.where(key > after)).all()
            yield from found
            after = found[-1] if found else after

    def deleted(self, client_id: int) -> Select[int]:
        """Select the ids of rows that were the client's when they were deleted."""
        parent_id: Any = logged(self.link.name)
        gone = select(Change.entity_id).where(
            Change.op == literal_column("'deleted'"),  # as the index has it
            Change.entity == literal_column(f"'{self.name}'"),
        )
        if self.parent is Client:
            return gone.where(parent_id.in_(all_clients(client_id)))
        key = self.parent.primary_key()
        theirs = select(key).where(self.parent.client_id == client_id)
        return gone.where(parent_id.in_(theirs))


# From the client down: what is written in a row's parent waits for the lock of the parent.
IDENTITIES = RowKind(Identity, Client)
CONVERSATIONS = RowKind(Conversation, Client)
EVENTS = RowKind(Event, Ticket)
KINDS = (
    RowKind(Message, Conversation),
    RowKind(Ticket, Client),
    EVENTS,
    RowKind(Comment, Ticket),
)
ALL_KINDS = (IDENTITIES, CONVERSATIONS, *KINDS)


def integer_in(text: Any, name: str) -> ByDialect:
    """Return the SQL of an integer in a JSON object."""
    found = cast(text, postgresql.JSON)[name].astext
    path: Any = literal_column(f"'$.{name}'")
    return ByDialect(postgresql=cast(found, Integer), sqlite=func.json_extract(text, path))


def clients(client_id: int) -> Select[int]:
    """Select the id of a client, and of those who were merged into it."""
    is_client = or_(Client.client_id == client_id, Client.merged_into == client_id)
    return select(Client.client_id).where(is_client)


def all_clients(client_id: int) -> Select[int]:
    """Select the ids of a client, and of those who were merged into it, all deleted since or not.

    Who was deleted may have been merged into one who was merged, and perhaps deleted, later.
    """
    client = select(literal(client_id).label("client_id"))
    known = union(client, clients(client_id)).subquery()
    found = select(known.c.client_id).cte(recursive=True)
    deleted = select(Change.entity_id).where(
        Change.op == literal_column("'deleted'"),
        Change.entity == literal_column("'client'"),
        logged("merged_into") == found.c.client_id,
    )
    return select(found.union(deleted).c.client_id)


def owners(client_id: int) -> dict[str, Any]:
    """Return what selects the numbers by which rows show whose they are, by their names.

    Events and identities show it by their own, too: they were perhaps not the client's before.
    """
    return {
        "client_id": all_clients(client_id),
        "ticket_id": RowKind(Ticket, Client).of(client_id, Ticket.ticket_id),
        "conversation_id": CONVERSATIONS.of(client_id, Conversation.conversation_id),
        **{
            kind.entity.primary_key().name: union_all(
                kind.of(client_id, kind.entity.primary_key()), kind.deleted(client_id)
            )
            for kind in (EVENTS, IDENTITIES)
        },
    }


def logged(name: str) -> ByDialect:
    """Return the SQL of an integer in what a deleted row held."""
    return integer_in(Change.before, name)


def erased(column: Column[Any], value: Any) -> Any:
    """Return what a text is after an erasure."""
    return None if column.nullable else value and ERASED
