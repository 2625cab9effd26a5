"""The change log over HTTP: all changes in the order of their commits, and each row's history."""

from collections.abc import Callable
from typing import Any

from marshmallow.validate import Range
from sqlalchemy import bindparam, select

from omnidesk.db import MAX_ID
from omnidesk.db.change_log import ENTITIES, Change
from omnidesk.db.statements import Statement
from omnidesk.http import Blueprint, PageQuery, PreparedSelect, ResponseSchema, current_user
from omnidesk.http.fields import EnumField, IdField, JsonField, TimeField
from omnidesk.http.parameters import IntegerParameter

blp = Blueprint("changes", description="What changed, and who changed it")

COLUMN_VALUE = {
    "oneOf": [
        {"type": "string", "nullable": True},
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
    ]
}
COLUMNS = {"type": "object", "additionalProperties": COLUMN_VALUE}


class ChangeQuery(PageQuery):
    """The filters of changes."""

    after = IntegerParameter(
        validate=Range(min=0, max=MAX_ID),
        description="Only changes that were committed after the one with this `seq`, such as 41",
    )
    entity = EnumField(Change.entity, description="Only changes of rows of this kind")


class ChangeSchema(ResponseSchema):
    """A change of a row."""

    seq = IdField(example=42, description="The number of the change")
    at = TimeField(example="2025-10-29T09:12:00Z", description="When the row was changed")
    actor = IdField(
        allow_none=True,
        example=2,
        description="The user who changed it; null for nobody, such as a command",
    )
    entity = EnumField(Change.entity, example="ticket", description="The kind of row")
    entity_id = IdField(example=100, description="The id of the row")
    op = EnumField(Change.op, example="updated", description="What was done to the row")
    before = JsonField(
        metadata=COLUMNS,
        allow_none=True,
        example={"status": "abierto"},
        description="What the changed columns held before; null for a new row",
    )
    after = JsonField(
        metadata=COLUMNS,
        allow_none=True,
        example={"status": "en_progreso"},
        description="What they hold now; null for a deleted row",
    )


HISTORY_EXISTS = {
    entity: Statement(
        select(Change.seq)
        .where(Change.entity == entity, Change.entity_id == bindparam(f"{entity}_id"))
        .limit(1)
    )
    for entity in Change.entity.type.enums
}


@blp.get("/changes")
@blp.arguments(ChangeQuery, location="query")
@blp.page(ChangeSchema)
def list_changes(filters: dict[str, Any]) -> PreparedSelect:
    """List changes in the order they were committed, of all that the caller may read"""
    hidden = tuple(entity for entity in ENTITIES if not current_user.may_read(entity))
    found = PreparedSelect(Change.feed, filters, hidden=hidden)
    found.endless = True
    return found


def add_history(path: str, entity: str, who: Callable[..., Any], what: str) -> None:
    """Add the route of the history of an entity's rows, below the address of each row."""

    def history(filters: dict[str, Any], **path: int) -> PreparedSelect:
        (entity_id,) = path.values()
        return PreparedSelect(Change.history, {**filters, "entity_id": entity_id}, entity=entity)

    history.__name__, history.__doc__ = f"list_{entity}_history", f"List the changes of {what}"
    page = blp.page(ChangeSchema, parent=HISTORY_EXISTS[entity])
    view = blp.arguments(PageQuery, location="query")(page(history))
    scoped = blp.scope("changes:read", f"{entity}s:read")
    blp.get(f"{path}/history")(scoped(who(view)))


def any_user(view: Any) -> Any:
    """Let everybody with a token call."""
    return view


add_history("/tickets/<id(example=100):ticket_id>", "ticket", any_user, "a ticket")
add_history("/events/<id(example=42):event_id>", "event", any_user, "an event, deleted or not")
add_history("/clients/<id(example=55):client_id>", "client", any_user, "a client, deleted or not")
add_history("/conversations/<id:conversation_id>", "conversation", any_user, "a conversation")
add_history("/users/<id(example=2):user_id>", "user", blp.admin_only, "a user, as an admin")
