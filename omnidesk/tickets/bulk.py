"""Changes of many tickets at once, by the rules of one ticket."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, insert, or_, select, update

from omnidesk.db import db, utcnow
from omnidesk.db.folding import derived_for_all
from omnidesk.db.words import words
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import require_active_user


def lock(ticket_ids: list[int]) -> set[int]:
    """Lock these tickets until the transaction ends; return the ids of those that exist."""
    some = select(Ticket.ticket_id).where(Ticket.ticket_id.in_(ticket_ids))
    in_order = some.order_by(Ticket.ticket_id)
    return set(db.session.scalars(in_order.with_for_update(key_share=True)))


def change_all(ticket_ids: list[int], **fields: Any) -> Sequence[Ticket]:
    """Set these fields of the tickets; return the tickets."""
    some = Ticket.ticket_id.in_(ticket_ids)
    other = [getattr(Ticket, name).is_distinct_from(value) for name, value in fields.items()]
    user_id = fields.get("assigned_to")
    if user_id and db.session.scalar(
        select(Ticket.ticket_id).where(some, Ticket.assigned_to.is_distinct_from(user_id)).limit(1)
    ):
        require_active_user(user_id, "assigned_to")
    if "status" in fields:
        now = utcnow() if fields["status"] == "cerrado" else None
        is_same = Ticket.status == fields["status"]
        fields["resolved_at"] = case((is_same, Ticket.resolved_at), else_=now)
    if fields:
        fields |= derived_for_all(Ticket, some, fields)
        fields |= Ticket.as_changed()
        db.session.execute(update(Ticket).where(some, or_(*other)).values(**fields))
    return db.session.scalars(select(Ticket).where(some)).all()


def comment_on(ticket_ids: list[int], user_id: int, body: str) -> None:
    """Store a comment of a user's on each of the locked tickets, which changes their versions."""
    comment = {"user_id": user_id, "body": body, "words": words(body)}
    entity = Ticket.comments.property.mapper.class_
    rows = [comment | {"ticket_id": ticket_id} for ticket_id in ticket_ids]
    db.session.execute(insert(entity), rows)
