"""What a user has to do, given to another one."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select, update

from omnidesk.conversations.models import Conversation
from omnidesk.db import RuleViolation, db
from omnidesk.http import Blueprint, ResponseSchema, Schema
from omnidesk.http.errors import http_error
from omnidesk.http.fields import CountField, IdField
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User, require_active_user

blp = Blueprint("assignments", description="What users have to do")


class Assigned(NamedTuple):
    """Rows that users have, and which of them are not done."""

    entity: Any
    is_open: ColumnElement[bool]


# By the names under which they are counted.
ASSIGNED = {
    "tickets": Assigned(Ticket, Ticket.status != "cerrado"),
    "conversations": Assigned(Conversation, Conversation.active.is_(True)),
}


class ReleaseSchema(Schema):
    """Who gets what a user has."""

    to = IdField(
        required=True,
        allow_none=True,
        example=None,
        description="The active user who gets it; null for nobody",
    )


class ReleasedSchema(ResponseSchema):
    """How much a user had."""

    tickets = CountField(example=2, description="How many tickets, of those that are not closed")
    conversations = CountField(example=0, description="How many conversations that are active")


@blp.post("/users/<id(example=2):user_id>/release")
@blp.admin_only
@blp.arguments(ReleaseSchema)
@blp.response(200, ReleasedSchema)
def release_user(data: dict[str, Any], user_id: int) -> dict[str, int]:
    """Reassign all that a user has to do to another user or to nobody, as an admin"""
    if db.session.get(User, user_id) is None:
        raise http_error(404)
    if data["to"] == user_id:
        raise RuleViolation("to", "Must be another user.")
    require_active_user(data["to"], "to")
    found = {name: give(each, user_id, data["to"]) for name, each in ASSIGNED.items()}
    db.session.commit()
    return found


def give(assigned: Assigned, user_id: int, to: int | None) -> int:
    """Reassign the open rows of a user to another one or nobody; return how many there were."""
    entity, key = assigned.entity, assigned.entity.primary_key()
    mine = select(key).where(entity.assigned_to == user_id, assigned.is_open).order_by(key)
    locked = mine.with_for_update(key_share=True)  # in one order, as others lock several rows
    given = update(entity).where(key.in_(locked)).values(assigned_to=to, **entity.as_changed())
    options = {"synchronize_session": False}  # none of them is loaded
    return len(db.session.execute(given.returning(key), execution_options=options).all())
