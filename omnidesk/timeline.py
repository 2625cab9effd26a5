"""What happened with a client: tickets, comments, messages and events in one list."""

from functools import lru_cache
from typing import Any, NamedTuple

import marshmallow as ma
from sqlalchemy import (
    ColumnElement,
    Enum,
    Integer,
    ScalarSelect,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from omnidesk.clients.models import CLIENT_EXISTS
from omnidesk.comments.models import Comment
from omnidesk.comments.schemas import CommentSchema
from omnidesk.conversations.message_schemas import MessageSchema
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import json_sql
from omnidesk.db.change_log import Change
from omnidesk.db.scans import is_among
from omnidesk.db.statements import Statement
from omnidesk.events.models import Event
from omnidesk.events.schemas import EventSchema
from omnidesk.http import (
    Blueprint,
    PageQuery,
    PreparedSelect,
    ResponseSchema,
    current_user,
)
from omnidesk.http.cursors import read_cursor
from omnidesk.http.fields import EnumField, TimeField
from omnidesk.http.list_statements import PageStatement
from omnidesk.http.pagination import LIMIT, OFFSET, Page, PageShape, part_page, sorted_keys
from omnidesk.http.parts import Part
from omnidesk.http.schemas import CURSOR_INTEGER, CURSOR_TIME, cursor_field
from omnidesk.http.serialization import json_object
from omnidesk.http.sorting import VALUE, SortKey
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.schemas import TicketSchema

blp = Blueprint("timeline", description="What happened with a client")

CLIENT_ID = bindparam("client_id", type_=Integer())


class EntryKind(NamedTuple):
    """A kind of entries: what they show, their time, and by which row they are a client's."""

    entity: Any
    schema: type[ResponseSchema]
    at: str
    parent: Any = None  # None where the entity has the client itself


# Of entries with the same time, those of a later kind come first.
KINDS = {
    "ticket": EntryKind(Ticket, TicketSchema, "created_at"),
    "comment": EntryKind(Comment, CommentSchema, "created_at"),
    "message": EntryKind(Message, MessageSchema, "created_at", Conversation),
    "event": EntryKind(Event, EventSchema, "start_time"),
}
RANKS = {name: rank for rank, name in enumerate(KINDS)}
KEYS = [
    SortKey(Ticket.created_at, descending=True),
    SortKey(case(RANKS, value=literal_column("kind")), descending=True),
    SortKey(Ticket.ticket_id, descending=True),
]


class TimelineQuery(PageQuery):
    """The page of a timeline."""

    cursor = cursor_field(f"[ab]{CURSOR_TIME}0{{7}}[0-{len(KINDS) - 1}]{CURSOR_INTEGER}", 31)


class EntrySchema(ResponseSchema):
    """An entry: one of the rows, under the name of its kind."""

    at = TimeField(
        example="2025-10-29T09:12:00Z",
        description="When it was created; of an event, when it starts",
    )
    kind = EnumField(Enum(*KINDS, name="occurrence"), example="ticket", description="What it is")
    ticket = ma.fields.Nested(
        TicketSchema, metadata={"description": "The ticket", "example": TicketSchema.example()}
    )
    comment = ma.fields.Nested(CommentSchema, metadata={"description": "The comment"})
    message = ma.fields.Nested(MessageSchema, metadata={"description": "The message"})
    event = ma.fields.Nested(EventSchema, metadata={"description": "The event"})

    def on_bind_field(self, name: str, field_obj: ma.fields.Field[Any]) -> None:
        """Document that only one of the rows is there."""
        super().on_bind_field(name, field_obj)
        field_obj.required = name not in KINDS


class Timeline(PreparedSelect):
    """The entries of a client's timeline, of some kinds, newest first."""

    is_scan = False

    def __init__(self, client_id: int, kinds: tuple[str, ...]) -> None:
        super().__init__(entries, {"client_id": client_id}, kinds=kinds)
        self.kinds = kinds

    def prepare(
        self, _schema: Any, page: Page, _way: Any = None
    ) -> tuple[PageStatement, dict[str, Any]]:
        """Return the statement of a page and the values of its parameters."""
        position = read_cursor(page.cursor, KEYS) if page.cursor else []
        prepared = page_statement(self.kinds, page.shape(position, KEYS))
        return prepared, self.parameters | page.parameters(position)

    def count(self) -> int:
        """Return how many entries there are in all."""
        return int(count_statement(self.kinds).fetch(**self.parameters)[0][0])


def entries(_filters: Any, *, kinds: tuple[str, ...]) -> Select[Any]:
    """Select the ids of all entries of a client, of some kinds."""
    ids = (of_client(KINDS[name], KINDS[name].entity.primary_key()) for name in kinds)
    return select(union_all(*ids).subquery())


def of_client(kind: EntryKind, *columns: Any) -> Select[Any]:
    """Select columns of a client's rows of a kind."""
    owner = kind.parent or kind.entity
    rows = select(*columns).select_from(owner).where(owner.client_id == CLIENT_ID)
    return rows.join(kind.entity, is_of(kind.entity, owner)) if kind.parent else rows


def is_of(entity: Any, parent: Any) -> ColumnElement[bool]:
    """Return the condition that a row refers to another one."""
    key = parent.primary_key()
    found: ColumnElement[bool] = getattr(entity, key.name) == key
    return found


@lru_cache
def count_statement(kinds: tuple[str, ...]) -> Statement:
    """Return the statement that counts the entries of some kinds."""
    return Statement(select(func.count()).select_from(entries(None, kinds=kinds).subquery()))


@lru_cache(maxsize=1024)
def page_statement(kinds: tuple[str, ...], shape: PageShape) -> PageStatement:
    """Return the statement of a page, as `http/list_statements.py` describes it.

    Of each kind, and of messages for each conversation, an index gives no more rows than the page
    has. Then these are put in order.
    """
    found = union_all(*(select(newest(name, shape).subquery()) for name in kinds)).subquery()
    page = sorted_keys(found, KEYS, shape, LIMIT).cte("page").prefix_with("MATERIALIZED")
    _at, rank, row_id = page.c
    rows = {RANKS[name]: row_json(name, row_id) for name in kinds}
    shown, position = case(rows, value=rank), json_sql.JsonArray(*page.c)
    entities = {name: KINDS[name].entity for name in kinds} | {"conversation": Conversation}
    last: Any = Change.last(*entities.values())
    joined = select(
        json_sql.JsonLines(shown),
        json_sql.JsonLines(position),
        last.scalar_subquery(),
        null(),
        null(),
    )
    return PageStatement(select(page), KEYS, Statement(joined), Statement(last))


def newest(name: str, shape: PageShape) -> Select[Any]:
    """Select the sort keys of the entries of a kind that a page may have."""
    kind, read = KINDS[name], LIMIT + OFFSET if shape.skips else LIMIT
    if kind.parent is None:
        rows = of_client(kind, kind.entity)
        return part_page(part_of(name, rows, kind.entity), shape).limit(read)
    row_id, other = kind.entity.primary_key(), aliased(kind.entity)
    of_parent = part_of(name, select(other).where(is_of(other, kind.parent)), other)
    ids = part_page(of_parent, shape).with_only_columns(getattr(other, row_id.name)).limit(read)
    ids = ids.correlate(kind.parent)
    keys = (key.column.label(f"key_{n}") for n, key in enumerate(keys_of(name, kind.entity)))
    return select(*keys).where(kind.parent.client_id == CLIENT_ID, is_among(row_id, ids))


def part_of(name: str, rows: Select[Any], entity: Any) -> Part:
    """Return rows of a kind as a part of the timeline."""
    return Part(rows, keys_of(name, entity), (VALUE, RANKS[name], VALUE))


def keys_of(name: str, entity: Any) -> list[SortKey]:
    """Return the sort keys of the entries of a kind, whose rows an entity or its alias has."""
    kind = KINDS[name]
    rank: ColumnElement[int] = literal_column(str(RANKS[name]), Integer())
    columns = getattr(entity, kind.at), rank, getattr(entity, kind.entity.primary_key().name)
    return [SortKey(column, descending=True) for column in columns]


def row_json(name: str, row_id: ColumnElement[int]) -> ScalarSelect[Any]:
    """Return the subquery of an entry as JSON."""
    kind = KINDS[name]
    shown: Any = json_object(kind.schema, kind.entity)
    entry = json_sql.JsonObject(
        json_sql.JsonTime(getattr(kind.entity, kind.at)).label("at"),
        literal_column(f"'{name}'").label("kind"),
        shown.label(name),
    )
    found = select(entry).where(kind.entity.primary_key() == row_id)
    return found.correlate(row_id.table).scalar_subquery()


@blp.get("/clients/<id(example=55):client_id>/timeline")
@blp.scope("clients:read", "tickets:read")
@blp.arguments(TimelineQuery, location="query")
@blp.page(EntrySchema, parent=CLIENT_EXISTS)
def list_timeline(_query: dict[str, Any], client_id: int) -> Timeline:
    """List what happened with a client, newest first"""
    return Timeline(client_id, tuple(filter(current_user.may_read, KINDS)))
