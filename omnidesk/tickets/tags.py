"""Tags on tickets."""

from datetime import datetime
from typing import Self

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, RuleViolation, bytewise_text
from omnidesk.db.folding import MAX_TAG, fold_tag
from omnidesk.tickets.lists import SORTED_TIMES

MAX_TAGS = 50  # of a ticket; a trigger of the database keeps it
TagText = bytewise_text(50)
UNSET = "1970-01-01 00:00:00.000000"  # until a trigger copies it, in the same statement


class TicketTag(Base):
    """A tag on a ticket. Triggers keep the ticket's `tags` and the counts of all tags.

    They also copy here what a ticket is found and ordered by, so that one index has a tag and that.
    """

    __tablename__ = "ticket_tag"

    ticket_id: Mapped[int] = mapped_column(ForeignKey("ticket.ticket_id"), primary_key=True)
    tag: Mapped[str] = mapped_column(TagText, primary_key=True)
    client_id: Mapped[int | None]
    priority: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None] = mapped_column(Text)
    assigned_to: Mapped[int | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=UNSET)
    due_at: Mapped[datetime | None]

    __table_args__ = (
        # A trigger keeps this rule, since a check sees only one row: it is not created as a check,
        # but declared here for its name and its error.
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
        *(Index(None, "tag", time, "ticket_id", "priority", "status") for time in SORTED_TIMES),
    )


class Tag(Base):
    """A tag, and how many tickets have it."""

    __tablename__ = "tag"
    logged_as = "ticket"

    tag: Mapped[str] = mapped_column(TagText, primary_key=True)
    tickets: Mapped[int]

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the tags that meet the filters, in alphabetical order."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.tag)


def checked_tag(tag: str) -> str:
    """Return a tag in the form that is stored; raise RuleViolation where it is none."""
    folded = fold_tag(tag)
    if folded is None:
        message = f"1 to {MAX_TAG} letters, digits, and _ . : - but not at the beginning."
        raise RuleViolation("tag", message)
    return folded
