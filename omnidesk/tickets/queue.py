"""The queue of tickets that nobody has, from which agents take the next."""

from sqlalchemy import Select, literal_column, select

from omnidesk.db import db
from omnidesk.db.scans import many
from omnidesk.tickets.lists import CLOSED
from omnidesk.tickets.models import RANK, Ticket


def take_next(user_id: int) -> Ticket | None:
    """Assign the oldest ticket of the highest priority that nobody has; return it, or None."""
    ticket = db.session.scalar(first_free()) or db.session.scalar(first_free(waits=True))
    if ticket is not None:
        ticket.change(assigned_to=user_id)
        db.session.flush()
        db.session.refresh(ticket)  # a trigger has changed its updated_at
    return ticket


def first_free(*, waits: bool = False) -> Select[Ticket]:
    """Select the oldest ticket of the highest priority that nobody has, and lock it.

    Those that others have locked, who are perhaps taking them, are passed over. With `waits` they
    are waited for, as these others may only change them.
    """
    free = select(Ticket).where(many(Ticket.assigned_to.is_(None)), Ticket.status != CLOSED)
    first = free.order_by(literal_column(RANK), Ticket.ticket_id).limit(1)
    return first.with_for_update(skip_locked=not waits, key_share=True)
