"""The selects behind lists and single rows: built once for each set of filters, run often."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self
from zlib import crc32

import orjson
from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Subquery,
    Text,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.orm import Session

from omnidesk.db import Base, Filters, db, json_sql
from omnidesk.db.change_log import Change
from omnidesk.db.filters import parameter_values
from omnidesk.db.session import READ
from omnidesk.db.statements import Statement
from omnidesk.http.cursors import read_cursor
from omnidesk.http.pagination import Links, Page, PageShape, merged_page, page_select
from omnidesk.http.related import with_related
from omnidesk.http.schemas import Schema
from omnidesk.http.serialization import json_object, nests
from omnidesk.http.sorting import SortKey, cursor_keys, sort_keys
from omnidesk.http.sources import Source, entity_of

MAX_STATEMENTS = 1024  # that are kept of each kind; each is a few kilobytes


class PreparedSelect:
    """The rows of a view: a function that builds their select, and the filters' values.

    The function gets the filters without their values and, by name, what shapes the SQL, such as
    a sort order. It is called once for each combination of these; what else a select depends on,
    such as the caller or the time, is the value of a filter like any other.
    """

    def __init__(
        self, build: Callable[..., Select[Any]], values: Mapping[str, Any], **shape: Hashable
    ) -> None:
        self.source = Source(build, Filters(**values), tuple(shape.items()))
        self.parameters = parameter_values(values)
        self.endless = False  # whether the last page links to a next one, for rows yet to come

    def including(self, names: tuple[str, ...]) -> Self:
        """Return the same with the related rows of these names."""
        self.source = self.source._replace(include=names)
        return self

    def row(self, schema: type[Schema]) -> tuple[str, str | None] | None:
        """Return the JSON of the only row and its ETag, if it has one; None for no row."""
        statement = row_statement(self.source, schema)
        if statement is None:
            return self.dumped_row(schema)
        rows = statement.fetch(**self.parameters)
        return rows[0] if rows else None

    def dumped_row(self, schema: type[Schema]) -> tuple[str, str | None] | None:
        """Return the same as `row`, written by marshmallow."""
        for (found,) in fetch_entities(self.source.select(), self.parameters):
            etag = None if nests(schema) else getattr(found, "etag", None)
            return dump_all([found], schema)[0], etag
        return None

    def page(self, schema: type[Schema], page: Page) -> "PageRows":
        """Return the rows of a page, and one more where there are more; raise 400 for a cursor."""
        prepared, values = self.prepare(schema, page)
        if prepared.statement is None:
            return self.dumped_page(schema, prepared, values)
        ((rows, positions, *last),) = prepared.statement.fetch(**values)
        return PageRows(lines(rows), lines(positions), prepared.keys, *last)

    def prepare(self, schema: type[Schema], page: Page) -> tuple["PageStatement", dict[str, Any]]:
        """Return the statement of a page and the values of its parameters."""
        keys = source_keys(self.source) if page.cursor else []
        position = read_cursor(page.cursor, keys) if page.cursor else []
        prepared = page_statement(self.source, schema, page.shape(position, keys))
        return prepared, self.parameters | page.parameters(position)

    def dumped_page(
        self, schema: type[Schema], prepared: "PageStatement", values: dict[str, Any]
    ) -> "PageRows":
        """Return the same as `page`, written by marshmallow."""
        position = json_sql.JsonArray(*(key.column for key in prepared.keys))
        found = fetch_entities(prepared.select.add_columns(position), values)
        rows = dump_all([row[0] for row in found], with_related(schema, self.source.include))
        return PageRows(rows, [row[1] for row in found], prepared.keys)

    def last_change(self, schema: type[Schema], page: Page) -> str | None:
        """Return what names the last change of any row the list might show, or None."""
        prepared, _ = self.prepare(schema, page)
        return None if prepared.last is None else str(prepared.last.fetch()[0][0])

    def digest(self) -> str:
        """Return a digest of what its rows depend on beside the database, such as the caller."""
        depends_on = self.source.shape, self.source.include, self.parameters
        return f"{crc32(repr(depends_on).encode()):08x}"

    def count(self) -> int:
        """Return how many rows there are in all."""
        return int(count_statement(self.source).fetch(**self.parameters)[0][0])


class PageRows(NamedTuple):
    """The rows of a page as JSON, and each row's sort keys as a JSON array."""

    rows: list[str]
    positions: list[str]
    keys: list[SortKey]
    last_change: str | None = None

    def neighbours(self, page: Page, *, endless: bool = False) -> Links:
        """Return what leads to the pages beside this one, as `Page.neighbours` does."""
        more = endless or len(self.positions) > page.limit
        return page.neighbours(page.cut(self.positions), self.keys, more=more)


class PageStatement(NamedTuple):
    """How all requests for pages of one shape are answered."""

    select: Select[Any]
    keys: list[SortKey]
    statement: Statement | None  # None where marshmallow must write the rows
    last: Statement | None


def lines(text: str | None) -> list[str]:
    """Return the lines that the database joined; none for no rows."""
    return text.split("\n") if text else []


def fetch_entities(rows: Select[Any], values: dict[str, Any]) -> Sequence[Any]:
    """Return the entities that a select finds, read by SQLAlchemy."""
    with Session(db.engines[READ]) as session:
        return session.execute(rows, values).unique().all()


def dump_all(entities: Sequence[Base], schema: type[Schema]) -> list[str]:
    """Return rows as JSON, written by marshmallow."""
    return [orjson.dumps(row).decode() for row in schema(many=True).dump(entities)]


@lru_cache(maxsize=MAX_STATEMENTS)
def source_keys(source: Source) -> list[SortKey]:
    """Return the sort keys that the cursors of a list hold."""
    return cursor_keys(sort_keys(source.select()))


@lru_cache(maxsize=MAX_STATEMENTS)
def row_statement(source: Source, schema: type[Schema]) -> Statement | None:
    """Return the statement of a single row's JSON and ETag; None where SQL cannot write it."""
    rows = source.select()
    entity = entity_of(rows)
    shown = json_object(schema, entity)
    if shown is None:
        return None
    etag = literal(None) if nests(schema) else getattr(entity, "etag", literal(None))
    return Statement(rows.with_only_columns(cast(shown, Text), etag))


@lru_cache(maxsize=MAX_STATEMENTS)
def page_statement(source: Source, schema: type[Schema], shape: PageShape) -> PageStatement:
    """Return the statement of a page: one row with the JSON of all its rows, a line for each.

    To fetch row by row, the driver would release the interpreter's lock for each: under load that
    costs more than all the rest.
    """
    rows = source.select()
    entity, keys = entity_of(rows), sort_keys(rows)
    rows, keys = page_select(rows, keys, shape), cursor_keys(keys)
    shown = json_object(with_related(schema, source.include), entity)
    if shown is None:
        return PageStatement(rows, keys, None, None)
    relationships = source.relationships(entity)
    others = [related.property.mapper.class_ for related in relationships]
    last = None if nests(schema) else Change.last(entity, *others)
    parts = source.parts()
    if len(parts) > 1:
        found = merged_rows(merged_page(parts, shape), shown, entity, relationships)
    else:
        position = json_sql.JsonArray(*(key.column for key in keys))
        found = rows.with_only_columns(shown.label("shown"), position.label("position")).subquery()
    joined = select(json_sql.JsonLines(found.c.shown), json_sql.JsonLines(found.c.position))
    if last is None:
        return PageStatement(rows, keys, Statement(joined), None)
    joined = joined.add_columns(last.scalar_subquery())
    return PageStatement(rows, keys, Statement(joined), Statement(last))


def merged_rows(
    page: CTE, shown: ColumnElement[Any], entity: type[Base], relationships: list[Any]
) -> Subquery:
    """Return the rows of a page as JSON, each found by its id, the last of the page's sort keys."""
    *_, row_id = page.c
    row = select(shown).select_from(entity).where(entity.primary_key() == row_id)
    for relationship in relationships:
        row = row.outerjoin(relationship)
    position = json_sql.JsonArray(*page.c)
    row_json = row.correlate(page).scalar_subquery()
    return select(row_json.label("shown"), position.label("position")).subquery()


@lru_cache(maxsize=MAX_STATEMENTS)
def count_statement(source: Source) -> Statement:
    """Return the statement that counts the rows."""
    return Statement(select(func.count()).select_from(source.select().order_by(None).subquery()))
