"""What clients ask for."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Refused, Versioned, choice, db, utcnow
from omnidesk.users.models import User

PRIORITIES = ("alta", "media", "baja")
STATUSES = ("abierto", "en_progreso", "cerrado")


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
    def matching(cls, **filters: object) -> Select[Self]:
        """Select the tickets with these values, newest first."""
        return select(cls).filter_by(**filters).order_by(cls.ticket_id.desc())

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
        if user_id is not None:
            working = select(User.user_id).where(User.user_id == user_id, User.active)
            if not db.session.scalar(working.with_for_update(read=True)):
                raise Refused("assigned_to", "No active user has this id.")
        self.assigned_to = user_id
