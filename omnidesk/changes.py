"""The change log over HTTP: all of it for whoever keeps a copy, and the history of each row."""

from collections.abc import Callable
from typing import Any

from marshmallow.validate import Range
from sqlalchemy import Select, bindparam, select

from omnidesk.api import Answer, Blueprint, PageQuery, current_user
from omnidesk.api.errors import failure
from omnidesk.api.fields import Choice, Id, IntegerParam, Json, Time
from omnidesk.db import LARGEST_ID
from omnidesk.log import Change
from omnidesk.prepared import Prepared

blp = Blueprint("changes", description="What changed, and who changed it")


COLUMNS = {"type": "object", "additionalProperties": True}


class ChangeQuery(PageQuery):
    """Which changes to list."""

    after = IntegerParam(validate=Range(min=0, max=LARGEST_ID), example=41)
    entity = Choice(Change.entity, example="ticket")


class ChangeSchema(Answer):
    """One change of one row."""

    seq = Id(example=42)
    at = Time(example="2025-10-29T09:12:00Z")
    actor = Id(allow_none=True, example=2)
    entity = Choice(Change.entity, example="ticket")
    entity_id = Id(example=100)
    op = Choice(Change.op, example="updated")
    before = Json(metadata=COLUMNS, allow_none=True, example={"status": "abierto"})
    after = Json(metadata=COLUMNS, allow_none=True, example={"status": "en_progreso"})


KNOWN = Prepared(
    select(Change.seq)
    .where(Change.entity == bindparam("entity"), Change.entity_id == bindparam("entity_id"))
    .limit(1)
)


@blp.get("/changes")
@blp.arguments(ChangeQuery, location="query")
@blp.page(ChangeSchema, endless=True)
def list_changes(filters: dict[str, Any]) -> Select[Any]:
    """List changes in the order they were committed; those of users for admins alone"""
    changes = Change.following(**filters)
    return changes if current_user.role == "admin" else changes.where(Change.entity != "user")


def serve_history(path: str, entity: str, who: Callable[..., Any], what: str) -> None:
    """Serve the history of an entity's rows below each row's own address."""

    def known(last: list[int] | None, entity_id: int) -> None:
        if last is None and not KNOWN(entity=entity, entity_id=entity_id):
            raise failure(404)

    def history(filters: dict[str, Any], entity_id: int) -> Select[Any]:
        return Change.history(entity, entity_id=entity_id, **filters)

    history.__name__, history.__doc__ = f"list_{entity}_history", f"List the changes of {what}"
    view = blp.arguments(PageQuery, location="query")(blp.page(ChangeSchema, known)(history))
    blp.get(f"{path}/history")(who(view))


def any_user(view: Any) -> Any:
    """Let everybody with a token in."""
    return view


serve_history("/tickets/<id(example=100):entity_id>", "ticket", any_user, "a ticket")
serve_history("/events/<id(example=42):entity_id>", "event", any_user, "an event, deleted or not")
serve_history("/clients/<id(example=55):entity_id>", "client", any_user, "a client, deleted or not")
serve_history("/conversations/<id:entity_id>", "conversation", any_user, "a conversation")
serve_history("/users/<id(example=2):entity_id>", "user", blp.admin_only, "a user, as an admin")
