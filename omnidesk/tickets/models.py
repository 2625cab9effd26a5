"""What clients ask for."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Select,
    String,
    Text,
    bindparam,
    case,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Refused, Versioned, choice, db, utcnow
from omnidesk.prepared import Prepared
from omnidesk.users.models import User

PRIORITIES = ("alta", "media", "baja")
STATUSES = ("abierto", "en_progreso", "cerrado")
MAX_TAGS = 50  # a ticket
TAG = "[a-z0-9][a-z0-9_.:-]{0,49}"
WORD = String(50).with_variant(String(50, collation="C"), "postgresql")  # sorts by its bytes


class Ticket(Versioned, Base):
    """A client's request, from open to closed."""

    __tablename__ = "ticket"

    ticket_id: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[int] = mapped_column(ForeignKey("client.client_id"))
    subject: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(String(10_000))
    priority: Mapped[str] = mapped_column(choice("priority", *PRIORITIES))
    status: Mapped[str] = mapped_column(choice("status", *STATUSES))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    due_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))
    # A JSON array, which triggers keep.
    tags: Mapped[str] = mapped_column(Text, server_default="[]", sort_order=100)

    __table_args__ = (
        CheckConstraint(
            "(status = 'cerrado') = (resolved_at IS NOT NULL)",
            name="resolved_when_closed",
            info={"field": "status"},
        ),
        Index(None, "status", "ticket_id"),
        Index(None, "priority", "ticket_id"),
        Index(None, "assigned_to", "ticket_id"),
        Index(None, "client_id", "ticket_id"),
        Index(None, "status", "priority", "ticket_id"),
        Index(None, "assigned_to", "status", "ticket_id"),
        Index(None, "assigned_to", "priority", "ticket_id"),
        Index(None, "client_id", "status", "ticket_id"),
        Index(None, "client_id", "priority", "ticket_id"),
        Index(None, "client_id", "assigned_to", "ticket_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def open(cls, *, status: str, assigned_to: int | None = None, **fields: object) -> Self:
        """Give a new ticket; raises Refused for an assignee who cannot work on it."""
        ticket = cls(**fields)
        ticket.assign(assigned_to)
        ticket.move_to(status)
        return ticket

    @classmethod
    def matching(cls, tag: str | None = None, **filters: object) -> Select[Self]:
        """Select the tickets with these values, newest first."""
        if tag is None:
            return select(cls).filter_by(**filters).order_by(cls.ticket_id.desc())
        filters["tag"] = tag
        here = (getattr(TicketTag, name) == value for name, value in filters.items())
        return select(cls).join(TicketTag).where(*here).order_by(TicketTag.ticket_id.desc())

    def change(self, **fields: Any) -> None:
        """Change these fields; raises Refused for an assignee who cannot work on it."""
        if "status" in fields:
            self.move_to(fields.pop("status"))
        if "assigned_to" in fields:
            self.assign(fields.pop("assigned_to"))
        super().change(**fields)

    def move_to(self, status: str) -> None:
        """Change the status: closing notes the time, reopening forgets it."""
        if status != self.status:
            self.resolved_at = utcnow() if status == "cerrado" else None
        self.status = status

    def assign(self, user_id: int | None) -> None:
        """Give the ticket to a user, or to nobody; raises Refused unless the user is active."""
        need_worker(user_id)
        self.assigned_to = user_id

    def add_tag(self, tag: str) -> None:
        """Put a tag on the locked ticket, if it is not there; raises Refused for what is no tag."""
        if not self.tagged(tag):
            db.session.add(TicketTag(ticket_id=self.ticket_id, tag=tag))
            self.reload()

    def remove_tag(self, tag: str) -> None:
        """Take a tag off the locked ticket, if it is there; raises Refused for what is no tag."""
        if found := self.tagged(tag):
            db.session.delete(found)
            self.reload()

    def tagged(self, tag: str) -> "TicketTag | None":
        """Give the row of a tag on this ticket; raises Refused for what is no tag."""
        if not re.fullmatch(TAG, tag):
            why = "1 to 50 lower-case letters a-z, digits, and _ . : - but not at the beginning."
            raise Refused("tag", why)
        return db.session.get(TicketTag, (self.ticket_id, tag))

    def reload(self) -> None:
        """Look what triggers have made of the ticket."""
        db.session.flush()
        db.session.refresh(self)

    @classmethod
    def lock(cls, ticket_ids: list[int]) -> set[int]:
        """Let nobody else change these tickets until we are done; give those that there are."""
        some = select(cls.ticket_id).where(cls.ticket_id.in_(ticket_ids))
        return set(db.session.scalars(some.order_by(cls.ticket_id).with_for_update()))

    @classmethod
    def change_all(cls, ticket_ids: list[int], **fields: Any) -> Sequence[Self]:
        """Change these fields of many tickets, by the rules of one, and give the tickets."""
        some = cls.ticket_id.in_(ticket_ids)
        other = [getattr(cls, name).is_distinct_from(value) for name, value in fields.items()]
        need_worker(fields.get("assigned_to"))
        if "status" in fields:
            now = utcnow() if fields["status"] == "cerrado" else None
            fields["resolved_at"] = case(
                (cls.status == fields["status"], cls.resolved_at), else_=now
            )
        if fields:
            changed = update(cls).where(some, or_(*other))
            db.session.execute(changed.values(**fields, version=cls.version + 1))
        return db.session.scalars(select(cls).where(some)).all()


class TicketTag(Base):
    """A tag on a ticket. Triggers keep the ticket's `tags` and the counts of all tags.

    They copy here what tickets are looked for by, so that a tag and a status are in one index.
    """

    __tablename__ = "ticket_tag"

    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.ticket_id"), primary_key=True)
    tag: Mapped[str] = mapped_column(WORD, primary_key=True)
    client_id: Mapped[int | None]
    priority: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None] = mapped_column(Text)
    assigned_to: Mapped[int | None]

    __table_args__ = (
        # A check sees one row alone, so a trigger keeps this: it is not created, but its name
        # and what it means to a client are found here.
        CheckConstraint(
            f"count(*) <= {MAX_TAGS}",
            name="at_most_50",
            info={"field": "tag", "message": f"A ticket has at most {MAX_TAGS} tags."},
        ).ddl_if(callable_=lambda *_, **__: False),
        Index(None, "tag", "ticket_id"),
        Index(None, "tag", "client_id", "ticket_id"),
        Index(None, "tag", "priority", "ticket_id"),
        Index(None, "tag", "status", "ticket_id"),
        Index(None, "tag", "assigned_to", "ticket_id"),
    )


class Tag(Base):
    """A tag that some tickets have, and how many."""

    __tablename__ = "tag"

    tag: Mapped[str] = mapped_column(WORD, primary_key=True)
    tickets: Mapped[int]

    @classmethod
    def matching(cls, **filters: object) -> Select[Self]:
        """Select the tags with these values, in the order of their letters."""
        return select(cls).filter_by(**filters).order_by(cls.tag)


def need_worker(user_id: int | None) -> None:
    """Raise Refused unless this is nobody, or an active user, who stays so until we are done."""
    if user_id is None:
        return
    working = select(User.user_id).where(User.user_id == user_id, User.active)
    if not db.session.scalar(working.with_for_update(read=True)):
        raise Refused("assigned_to", "No active user has this id.")


# Whether there is such a ticket.
KNOWN = Prepared(select(Ticket.ticket_id).where(Ticket.ticket_id == bindparam("ticket_id")))
