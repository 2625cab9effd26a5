"""The queue of tickets that nobody has, from which agents take the next."""

from typing import TypeVar

from sqlalchemy import Select, literal_column, select

from omnidesk.db import db
from omnidesk.db.scans import many
from omnidesk.tickets.lists import CLOSED
from omnidesk.tickets.models import RANK, Ticket

T = TypeVar("T")


def take_next(user_id: int) -> Ticket | None:
    """Assign the oldest ticket of the highest priority that nobody has; return it, or None."""
    ticket = db.session.scalar(first_free()) or wait_for_one()
    if ticket is not None:
        ticket.change(assigned_to=user_id)
        db.session.flush()
        db.session.refresh(ticket)  # a trigger has changed its updated_at
    return ticket


def wait_for_one() -> Ticket | None:
    """Return a ticket that nobody has, locked, where others have locked all of these, or None.

    They may only change it. No ticket is kept locked while another one is waited for: others lock
    several in the order of their ids.
    """
    while (ticket_id := db.session.scalar(in_order(select(Ticket.ticket_id)))) is not None:
        with db.session.begin_nested() as attempt:
            same = is_free(select(Ticket).where(Ticket.ticket_id == ticket_id))
            if ticket := db.session.scalar(same.with_for_update(key_share=True)):
                return ticket
            attempt.rollback()
        if ticket := db.session.scalar(first_free()):
            return ticket
    return None


def first_free() -> Select[Ticket]:
    """Select the oldest ticket of the highest priority that nobody has, and lock it.

    Those that others have locked, who are perhaps taking them, are passed over.
    """
    return in_order(select(Ticket)).with_for_update(skip_locked=True, key_share=True)


def in_order(tickets: Select[T]) -> Select[T]:
    """Select the first of tickets that nobody has: the oldest of the highest priority."""
    return is_free(tickets).order_by(literal_column(RANK), Ticket.ticket_id).limit(1)


def is_free(tickets: Select[T]) -> Select[T]:
    """Select those of tickets that nobody has and that are not closed."""
    return tickets.where(many(Ticket.assigned_to.is_(None)), Ticket.status != CLOSED)
