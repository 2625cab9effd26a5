"""The routes of the feed, and of each row's history."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Integer, bindparam, exists, literal_column, or_, select

from omnidesk.changes.feed import Feed
from omnidesk.changes.schemas import GONE, ChangeQuery, ChangeSchema, GoneSchema
from omnidesk.changes.waiting import polled
from omnidesk.clients.models import Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base
from omnidesk.db.change_log import ENTITIES, Change
from omnidesk.db.statements import Statement
from omnidesk.events.models import Event
from omnidesk.http import Blueprint, PageQuery, PreparedSelect, current_user, with_caller
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

blp = Blueprint("changes", description="What changed, and who changed it")


@blp.get("/changes")
@blp.arguments(ChangeQuery, location="query")
@polled
@blp.alt_response(410, schema=GoneSchema, example=GONE)
@blp.page(ChangeSchema)
def list_changes(filters: dict[str, Any]) -> PreparedSelect:
    """List changes in the order they were committed, of all that the caller may read"""
    hidden = tuple(name for name in ENTITIES if not current_user.may_read(name))
    return Feed(with_caller(filters, "actor"), hidden)


def history_exists(model: type[Base]) -> Statement:
    """Return the statement that finds a row which is there, or was and has changes in the log."""
    row_id = bindparam(f"{model.logged_as}_id", type_=Integer())
    logged = Change.of(str(model.logged_as)).where(Change.entity_id == row_id)
    there = select(model.primary_key()).where(model.primary_key() == row_id)
    return Statement(select(literal_column("1")).where(or_(exists(there), exists(logged))))


def add_history(path: str, model: type[Base], who: Callable[..., Any], what: str) -> None:
    """Add the route of the history of a model's rows, below the address of each row."""
    entity = model.logged_as

    def history(filters: dict[str, Any], **path: int) -> PreparedSelect:
        (entity_id,) = path.values()
        return PreparedSelect(Change.history, {**filters, "entity_id": entity_id}, entity=entity)

    history.__name__, history.__doc__ = f"list_{entity}_history", f"List the changes of {what}"
    page = blp.page(ChangeSchema, parent=history_exists(model))
    view = blp.arguments(PageQuery, location="query")(page(history))
    scoped = blp.scope("changes:read", f"{entity}s:read")
    blp.get(f"{path}/history")(scoped(who(view)))


def any_user(view: Any) -> Any:
    """Let everybody with a token call."""
    return view


add_history("/tickets/<id(example=100):ticket_id>", Ticket, any_user, "a ticket")
add_history("/events/<id(example=42):event_id>", Event, any_user, "an event, deleted or not")
add_history("/clients/<id(example=55):client_id>", Client, any_user, "a client, deleted or not")
add_history("/conversations/<id:conversation_id>", Conversation, any_user, "a conversation")
add_history("/users/<id(example=2):user_id>", User, blp.admin_only, "a user, as an admin")
