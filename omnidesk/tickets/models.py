"""Tickets and their tags."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    bindparam,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column, relationship

from omnidesk.clients.models import Client, lock_client
from omnidesk.db import (
    Base,
    Versioned,
    db,
    enum_type,
    utcnow,
)
from omnidesk.db.base import partial_index
from omnidesk.db.search import text_index
from omnidesk.db.statements import Statement
from omnidesk.db.words import words_of
from omnidesk.tickets.lists import SORTED_TIMES, SORTED_WITHIN
from omnidesk.tickets.tags import TicketTag, checked_tag
from omnidesk.users.models import Assignable, User

PRIORITIES = ("alta", "media", "baja")
RANK = "CASE priority WHEN 'alta' THEN 0 WHEN 'media' THEN 1 ELSE 2 END"  # as an index has it
STATUSES = ("abierto", "en_progreso", "cerrado")
MAX_COMMENT = 65_536  # code points


class Ticket(Assignable, Versioned, Base):
    """A client's request, from open to closed."""

    __tablename__ = "ticket"
    logged_as = "ticket"

    ticket_id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.client_id"))
    subject: Mapped[str] = mapped_column(String(998))
    description: Mapped[str | None] = mapped_column(String(65_536))
    priority: Mapped[str] = mapped_column(enum_type("priority", *PRIORITIES))
    status: Mapped[str] = mapped_column(enum_type("status", *STATUSES))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    due_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    # Kept by triggers: a JSON array, and the time, which tags and comments move.
    tags: Mapped[str] = mapped_column(Text, server_default="[]", sort_order=100)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, sort_order=101)
    words: Mapped[str] = words_of("subject", "description")
    conversation_id: Mapped[int | None] = mapped_column(sort_order=111)

    client: Mapped[Client] = relationship(viewonly=True, lazy="raise")
    assignee: Mapped[User | None] = relationship(viewonly=True, lazy="raise")
    comments: Mapped[list[Any]] = relationship("Comment", viewonly=True, lazy="raise")

    __table_args__ = (
        ForeignKeyConstraint(
            ["conversation_id", "client_id"],
            ["conversation.conversation_id", "conversation.client_id"],
            info={"message": "The client has no such conversation."},
            deferrable=True,  # a merge moves conversations and their tickets one after the other
            initially="IMMEDIATE",
        ),
        CheckConstraint(
            "(status = 'cerrado') = (resolved_at IS NOT NULL)",
            name="resolved_when_closed",
            info={"field": "status"},
        ),
        partial_index("resolved_at IS NOT NULL", None, "resolved_at"),
        partial_index("due_at IS NULL", "ix_ticket_not_due", "status", "updated_at", "ticket_id"),
        partial_index("conversation_id IS NOT NULL", None, "conversation_id", "ticket_id"),
        partial_index(
            "assigned_to IS NULL AND status != 'cerrado'",
            "ix_ticket_free",  # that nobody has
            text(f"({RANK})"),
            "ticket_id",
        ),
        Index(None, "status", "ticket_id"),
        Index(None, "priority", "ticket_id"),
        Index(None, "assigned_to", "ticket_id"),
        Index(None, "client_id", "ticket_id"),
        Index(None, "client_id", "created_at", "ticket_id"),
        Index(None, "status", "priority", "ticket_id"),
        Index(None, "assigned_to", "status", "ticket_id"),
        Index(None, "assigned_to", "priority", "ticket_id"),
        Index(None, "client_id", "status", "ticket_id"),
        Index(None, "client_id", "priority", "ticket_id"),
        Index(None, "client_id", "assigned_to", "ticket_id"),
        text_index("ticket"),
        *(
            Index(None, *names, time, "ticket_id", *others)
            for names, others in SORTED_WITHIN.items()
            for time in SORTED_TIMES
        ),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def new(cls, *, status: str, assigned_to: int | None = None, **fields: object) -> Self:
        """Return a new ticket; raise RuleViolation for an assignee who is not an active user."""
        now = utcnow()
        ticket = cls(**{"created_at": now, "updated_at": now, **fields})
        ticket.assign(assigned_to)
        ticket.move_to(status)
        return ticket

    def change(self, **fields: Any) -> None:
        """Set these fields; raise RuleViolation for an assignee who is not an active user."""
        if not self.differs(**fields):
            return
        if "assigned_to" in fields:  # first, or what it asks the database would store the others
            self.assign(fields.pop("assigned_to"))
        if "status" in fields:
            self.move_to(fields.pop("status"))
        super().change(**fields, updated_at=utcnow())

    @classmethod
    def lock_first(cls, ticket_id: int, *data: dict[str, Any]) -> None:
        """Lock the clients whom a change of the ticket is about."""
        for changes in data:
            lock_clients([ticket_id], changes)

    @classmethod
    def as_changed(cls) -> dict[str, Any]:
        """Return what an UPDATE of many rows sets beside what it changes."""
        return super().as_changed() | {"updated_at": utcnow()}

    def move_to(self, status: str) -> None:
        """Set the status: closing sets `resolved_at`, reopening clears it."""
        if status != self.status:
            self.resolved_at = utcnow() if status == "cerrado" else None
        self.status = status

    def add_tag(self, tag: str) -> None:
        """Put a tag on the locked ticket, unless it has it; raise RuleViolation for a bad tag."""
        folded = checked_tag(tag)
        if not self.find_tag(folded):
            db.session.add(TicketTag(ticket_id=self.ticket_id, tag=folded))
            self.refresh()

    def remove_tag(self, tag: str) -> None:
        """Take a tag off the locked ticket, if it has it; raise RuleViolation for a bad tag."""
        if found := self.find_tag(checked_tag(tag)):
            db.session.delete(found)
            self.refresh()

    def find_tag(self, folded: str) -> "TicketTag | None":
        """Return the row of a folded tag on this ticket, or None."""
        return db.session.get(TicketTag, (self.ticket_id, folded))

    def refresh(self) -> None:
        """Load the columns that triggers have changed."""
        db.session.flush()
        db.session.refresh(self)


def client_of_ticket() -> MappedColumn[int | None]:
    """Return a column that triggers keep: the client of the ticket that a row refers to."""
    return mapped_column(sort_order=112, info={"copied_from": Ticket})


def lock_clients(ticket_ids: list[int], changes: dict[str, Any]) -> None:
    """Lock the clients whom changes of tickets are about, before the tickets are locked."""
    if "comment" in changes:
        lock_clients_of(ticket_ids, changes.get("client_id"))
    elif "client_id" in changes:
        lock_client(changes["client_id"])


def lock_clients_of(ticket_ids: list[int], other_id: int | None) -> None:
    """Lock the clients of tickets, another one, and the tickets, which get a comment and changes.

    At the second change of a row PostgreSQL locks its client, too, and whoever merges or erases a
    client locks it before its tickets. Others can have the same lock at the same time. It begins
    anew where a ticket went to another client before it was locked.
    """
    asked = Ticket.ticket_id.in_(ticket_ids)
    theirs = Client.client_id.in_(select(Ticket.client_id).where(asked))
    clients = select(Client.client_id).where(or_(theirs, Client.client_id == other_id))
    clients = clients.order_by(Client.client_id)
    tickets = select(Ticket.client_id).where(asked).order_by(Ticket.ticket_id)
    while True:
        lock = clients.with_for_update(read=True, key_share=True)
        locked = {*db.session.scalars(lock)}
        if locked.issuperset(db.session.scalars(tickets.with_for_update(key_share=True))):
            return
        db.session.rollback()


def lock_ticket(ticket_id: Any) -> None:
    """Lock a ticket: before its comments and events, as whoever gives it to another client does.

    SQLite needs none: there, a transaction holds the write lock from its beginning.
    """
    if db.engine.name == "postgresql":
        found = select(Ticket.ticket_id).where(Ticket.ticket_id == ticket_id)
        db.session.execute(found.with_for_update(key_share=True))


TICKET_EXISTS = Statement(
    select(Ticket.ticket_id).where(Ticket.ticket_id == bindparam("ticket_id"))
)
