"""The change log over HTTP: all changes in the order of their commits, and each row's history."""

from collections.abc import Callable
from typing import Any, cast

from marshmallow.validate import Range
from sqlalchemy import Integer, bindparam, exists, literal_column, or_, select

from omnidesk.clients.models import Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import MAX_ID, Base
from omnidesk.db.change_log import ENTITIES, Change
from omnidesk.db.statements import Statement
from omnidesk.events.models import Event
from omnidesk.http import Blueprint, PageQuery, PreparedSelect, ResponseSchema, current_user
from omnidesk.http.cursors import read_cursor
from omnidesk.http.error_schemas import ErrorSchema
from omnidesk.http.errors import http_error
from omnidesk.http.fields import EnumField, IdField, JsonField, TimeField
from omnidesk.http.list_statements import PageStatement, source_keys
from omnidesk.http.pagination import Page, PageRows
from omnidesk.http.parameters import IntegerParameter
from omnidesk.http.schemas import Schema
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

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


OLDEST_SEQ = IdField(required=True, description="The oldest `seq` that can be read")
GoneSchema = ErrorSchema.from_dict({"oldest_seq": OLDEST_SEQ}, name="ChangesGone")
TOO_OLD = (
    "Changes before {} can no longer be read: read the rows anew, then the changes from there."
)
GONE = {"detail": "Gone", "errors": {"after": [TOO_OLD.format(43)]}, "oldest_seq": 43}


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


# For pages that marshmallow writes.
LAST_CHANGE = Statement(cast("Any", Change.last(Change)))


class Feed(PreparedSelect):
    """The changes after the position of a reader, or from the oldest that can be read.

    Pages raise 410 where changes after the position can no longer be read.
    """

    def __init__(self, filters: dict[str, Any], hidden: tuple[str, ...]) -> None:
        from_start = "after" not in filters
        super().__init__(Change.feed, filters, hidden=hidden, from_start=from_start)
        self.filters, self.hidden, self.endless = filters, hidden, True

    def page(self, schema: type[Schema], page: Page) -> PageRows:
        """Return the rows of a page; raise 410, and 400 for a cursor."""
        rows = super().page(schema, page)
        self.check_position(page, rows.last_change or str(LAST_CHANGE.fetch()[0][0]))
        return rows

    def last_change(self, schema: type[Schema], page: Page) -> str:
        """Return what names the last change; raise 410, and 400 for a cursor."""
        last = str(super().last_change(schema, page))
        self.check_position(page, last)
        return last

    def prepare(
        self, schema: type[Schema], page: Page, way: Any = None
    ) -> tuple[PageStatement, dict[str, Any]]:
        """Return the statement of a page and the values of its parameters.

        A cursor replaces an earlier `after`: SQLite would walk from the first of two positions.
        """
        if not page.cursor or page.backwards:
            return super().prepare(schema, page, way)
        seq = self.cursor_seq(page)
        filters = {n: value for n, value in self.filters.items() if n != "after" or value > seq}
        return PreparedSelect(Change.feed, filters, hidden=self.hidden).prepare(schema, page, way)

    def cursor_seq(self, page: Page) -> int:
        """Return the seq that the cursor of a page points at; raise 400."""
        (seq,) = read_cursor(page.cursor, source_keys(self.source))
        return int(seq)

    def check_position(self, page: Page, last: str) -> None:
        """Raise 410 for a position before the start of the feed, as the last change tells it."""
        start = Change.feed_start_in(last)
        name = "cursor" if page.cursor else "after"
        position = self.cursor_seq(page) if page.cursor else self.filters.get("after", start)
        if position < start:
            error = http_error(410, {name: [TOO_OLD.format(start + 1)]})
            error.oldest_seq = start + 1  # type: ignore[attr-defined]
            raise error


@blp.get("/changes")
@blp.arguments(ChangeQuery, location="query")
@blp.alt_response(410, schema=GoneSchema, example=GONE)
@blp.page(ChangeSchema)
def list_changes(filters: dict[str, Any]) -> PreparedSelect:
    """List changes in the order they were committed, of all that the caller may read"""
    return Feed(filters, tuple(name for name in ENTITIES if not current_user.may_read(name)))


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
