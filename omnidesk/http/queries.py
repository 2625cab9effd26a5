"""The selects behind lists and single rows: built once for each set of filters, run often."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Self
from zlib import crc32

import orjson
from sqlalchemy import Select
from sqlalchemy.orm import Session

from omnidesk.db import Base, Filters, db, json_sql
from omnidesk.db.filters import parameter_values
from omnidesk.db.scans import Divided, Scan
from omnidesk.db.session import READ
from omnidesk.http.cursors import read_cursor
from omnidesk.http.list_statements import (
    PageStatement,
    count_statement,
    is_scan,
    page_statement,
    row_statement,
    source_keys,
)
from omnidesk.http.pagination import Page, PageRows, lines
from omnidesk.http.related import with_related
from omnidesk.http.scans import WAYS, Way
from omnidesk.http.schemas import Schema
from omnidesk.http.serialization import nests
from omnidesk.http.sources import Source


class PreparedSelect:
    """The rows of a view: a function that builds their select, and the filters' values.

    The function gets the filters without their values and, by name, what shapes the SQL, such as
    a sort order. It is called once for each combination of these; what else a select depends on,
    such as the caller or the time, is the value of a filter like any other.
    """

    def __init__(
        self,
        build: Callable[..., Select[Any] | Divided | Scan],
        values: Mapping[str, Any],
        **shape: Hashable,
    ) -> None:
        self.source = Source(build, Filters(**values), tuple(shape.items()))
        self.parameters = parameter_values(values)
        self.endless = False  # whether the last page links to a next one, for rows yet to come
        self.top: Self | None = None  # a row that comes first, and is not among the others

    def including(self, names: tuple[str, ...]) -> Self:
        """Return the same with the related rows of these names."""
        self.source = self.source._replace(include=names)
        if self.top:
            self.top.including(names)
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

    def page(self, schema: type[Schema], page: Page) -> PageRows:
        """Return the rows of a page, and one more where there are more; raise 400 for a cursor."""
        may_begin = page.backwards or not page.cursor
        top = self.top.page(schema, Page(1)).rows if self.top and may_begin else []
        if top and page.offset and not page.cursor:
            return self.others(schema, page._replace(offset=page.offset - 1))
        rows = self.others(schema, page)
        return rows.headed_by(top[0], page) if top else rows

    def others(self, schema: type[Schema], page: Page) -> PageRows:
        """Return the same without the row that comes first, if there is one."""
        for way in WAYS[db.engines[READ].name] if self.is_scan else (None,):
            prepared, values = self.prepare(schema, page, way)
            if prepared.statement is None:
                return self.dumped_page(schema, prepared, values)
            ((shown, positions, last_change, is_complete, ended_at),) = prepared.statement.fetch(
                **values
            )
            places = lines(positions)
            if way is None or len(places) > page.limit or is_complete:
                break
        else:
            return PageRows(shown, places, prepared.keys, last_change, resume=ended_at)
        return PageRows(shown, places, prepared.keys, last_change)

    @property
    def is_scan(self) -> bool:
        """Return whether the rows must be looked at one by one, so that a page may be short."""
        return is_scan(self.source)

    def first(self, schema: type[Schema], count: int) -> str:
        """Return the JSON array of so many rows."""
        page = Page(count)
        return self.page(schema, page).json(page)

    def prepare(
        self, schema: type[Schema], page: Page, way: Way | None = None
    ) -> tuple[PageStatement, dict[str, Any]]:
        """Return the statement of a page and the values of its parameters."""
        keys = source_keys(self.source) if page.cursor else []
        position = read_cursor(page.cursor, keys) if page.cursor else []
        prepared = page_statement(self.source, schema, page.shape(position, keys), way)
        return prepared, self.parameters | page.parameters(position)

    def dumped_page(
        self, schema: type[Schema], prepared: PageStatement, values: dict[str, Any]
    ) -> PageRows:
        """Return the same as `page`, written by marshmallow."""
        position = json_sql.JsonArray(*(key.column for key in prepared.keys))
        found = fetch_entities(prepared.select.add_columns(position), values)
        rows = dump_all([row[0] for row in found], with_related(schema, self.source.include))
        return PageRows("\n".join(rows), [row[1] for row in found], prepared.keys)

    def last_change(self, schema: type[Schema], page: Page) -> str | None:
        """Return what names the last change of any row the list might show, or None."""
        prepared, values = self.prepare(schema, page)
        return None if prepared.last is None else str(prepared.last.fetch(**values)[0][0])

    def digest(self) -> str:
        """Return a digest of what its rows depend on beside the database, such as the caller."""
        depends_on = self.source.shape, self.source.include, self.parameters
        return f"{crc32(repr(depends_on).encode()):08x}"

    def count(self) -> int:
        """Return how many rows there are in all."""
        count = int(count_statement(self.source).fetch(**self.parameters)[0][0])
        return count + self.top.count() if self.top else count


def fetch_entities(rows: Select[Any], values: dict[str, Any]) -> Sequence[Any]:
    """Return the entities that a select finds, read by SQLAlchemy."""
    with Session(db.engines[READ]) as session:
        return session.execute(rows, values).unique().all()


def dump_all(entities: Sequence[Base], schema: type[Schema]) -> list[str]:
    """Return rows as JSON, written by marshmallow."""
    return [orjson.dumps(row).decode() for row in schema(many=True).dump(entities)]
