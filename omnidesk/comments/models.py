"""Comments on tickets, by staff for staff."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import ForeignKey, Index, Select, String, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from omnidesk.db import Base, Filters, Versioned, utcnow
from omnidesk.db.base import partial_index
from omnidesk.db.search import text_index
from omnidesk.db.words import words_of
from omnidesk.tickets.models import MAX_COMMENT, client_of_ticket, lock_ticket
from omnidesk.users.models import User


class Comment(Versioned, Base):
    """A comment on a ticket, which its client does not see."""

    __tablename__ = "comment"
    logged_as = "comment"

    comment_id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.ticket_id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.user_id"))
    body: Mapped[str] = mapped_column(String(MAX_COMMENT))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    edited_at: Mapped[datetime | None]
    words: Mapped[str] = words_of("body")
    client_id: Mapped[int | None] = client_of_ticket()

    user: Mapped[User] = relationship(viewonly=True, lazy="raise")

    __table_args__ = (
        Index(None, "ticket_id", "comment_id"),
        partial_index("client_id IS NOT NULL", None, "client_id", "created_at", "comment_id"),
        text_index("comment"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the comments that meet the filters, oldest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.comment_id)

    @classmethod
    def lock_first(cls, comment_id: int, *_data: dict[str, Any]) -> None:
        """Lock the comment's ticket, which changes with it."""
        lock_ticket(select(cls.ticket_id).where(cls.comment_id == comment_id).scalar_subquery())

    def change(self, **fields: Any) -> None:
        """Set these fields, and note the time if that changes any."""
        if self.differs(**fields):
            super().change(**fields, edited_at=utcnow())
