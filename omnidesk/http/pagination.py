"""Pages of a list: `limit`, `offset` and cursors (keyset pagination), and links to the next page.

A cursor holds the sort keys of the row that it points at, so a page costs the same at any depth.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    UnaryExpression,
    and_,
    bindparam,
    false,
    or_,
    tuple_,
)
from sqlalchemy.sql import operators

from omnidesk.db import UtcDateTime
from omnidesk.db.change_log import CommitOrder
from omnidesk.http.errors import http_error
from omnidesk.http.schemas import CURSOR_INTEGER, CURSOR_TEXT, CURSOR_TIME

AFTER, BEFORE, NULL = "a", "b", "~"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class SortKey(NamedTuple):
    """A column that a list is ordered by."""

    column: Any
    descending: bool = False
    nulls_last: bool = False

    def clause(self, *, backwards: bool) -> Any:
        """Return the ORDER BY clause in the list's own direction, or in the other."""
        clause = self.column.desc() if self.descending != backwards else self.column.asc()
        if not self.nulls_last:
            return clause
        return clause.nulls_first() if backwards else clause.nulls_last()

    def beyond(self, value: Any, *, null: bool, backwards: bool) -> ColumnElement[bool]:
        """Return whether a row's key comes after a value, or before it."""
        if null:
            return self.column.is_not(None) if backwards else false()
        lower: ColumnElement[bool] = self.column < value
        found = lower if self.descending != backwards else self.column > value
        return or_(found, self.column.is_(None)) if self.nulls_last and not backwards else found

    def equal(self, value: Any, *, null: bool) -> ColumnElement[bool]:
        """Return whether a row's key is a value."""
        found: ColumnElement[bool] = self.column.is_(None) if null else self.column == value
        return found


def sort_keys(rows: Select[Any]) -> list[SortKey]:
    """Return what a select is ordered by; together the columns must be unique."""
    return [sort_key(clause) for clause in rows._order_by_clauses]


def sort_key(clause: Any) -> SortKey:
    """Return a sort key; raise TypeError unless nulls come last: else the databases differ."""
    modifiers = []
    while isinstance(clause, UnaryExpression) and clause.modifier is not None:
        modifiers.append(clause.modifier)
        clause = clause.element
    nulls_last = operators.nulls_last_op in modifiers
    if operators.nulls_first_op in modifiers or (getattr(clause, "nullable", False) > nulls_last):
        raise TypeError(f"{clause} must be ordered with nulls last")
    return SortKey(clause, operators.desc_op in modifiers, nulls_last)


class PageShape(NamedTuple):
    """What the statement of a page depends on, beside the list."""

    backwards: bool = False
    nulls: tuple[bool, ...] | None = None  # which keys of the cursor are null; None for no cursor
    skips: bool = False


def page_select(rows: Select[Any], keys: list[SortKey], shape: PageShape) -> Select[Any]:
    """Return the select of a page, whose parameters are those of `Page.parameters`."""
    backwards = shape.backwards
    page = rows.order_by(None).order_by(*(key.clause(backwards=backwards) for key in keys))
    if shape.nulls is not None:
        page = page.where(beyond(keys, place(keys), shape.nulls, backwards=backwards))
    if shape.skips:
        page = skip(page, keys, backwards=backwards)
    return page.limit(bindparam("limit"))


def cursor_keys(keys: list[SortKey]) -> list[SortKey]:
    """Return the sort keys that a cursor holds; a `CommitOrder` is looked up by the others."""
    return [key for key in keys if not isinstance(key.column, CommitOrder)]


def place(keys: list[SortKey]) -> list[Any]:
    """Return the sort keys of the row that a cursor points at, from the statement's parameters."""
    held = cursor_keys(keys)
    values = [bindparam(f"key_{n}", type_=key.column.type) for n, key in enumerate(held)]
    found = [key.column.at(*values) for key in keys if isinstance(key.column, CommitOrder)]
    return [*found, *values]


def beyond(
    keys: Sequence[SortKey], values: Sequence[Any], nulls: Sequence[bool], *, backwards: bool
) -> ColumnElement[bool]:
    """Return whether a row comes after a place in the order, or before it."""
    if uniform(keys):
        here: Any = tuple_(*(key.column for key in keys))
        lower: ColumnElement[bool] = here < tuple_(*values)
        return lower if keys[0].descending != backwards else here > tuple_(*values)
    (key, *others), (value, *more), (null, *rest) = keys, values, nulls
    found = key.beyond(value, null=null, backwards=backwards)
    if not others:
        return found
    later = beyond(others, more, rest, backwards=backwards)
    return or_(found, and_(key.equal(value, null=null), later))


def uniform(keys: Sequence[SortKey]) -> bool:
    """Return whether rows can be compared as tuples: an index then finds the place."""
    return len({key.descending for key in keys}) == 1 and not any(key.nulls_last for key in keys)


def skip(page: Select[Any], keys: list[SortKey], *, backwards: bool) -> Select[Any]:
    """Skip `offset` rows, in an index where that can be: of what is skipped, it reads keys only."""
    if not uniform(keys):
        return page.offset(bindparam("offset"))
    columns = [key.column for key in keys]
    first = page.with_only_columns(*columns).limit(1).offset(bindparam("offset")).scalar_subquery()
    here: Any = tuple_(*columns)
    return page.where(here <= first if keys[0].descending != backwards else here >= first)


class Page(NamedTuple):
    """Which rows of a list a client asks for: `limit` and `offset` in rows, and a cursor."""

    limit: int
    offset: int = 0
    cursor: str = ""

    @property
    def backwards(self) -> bool:
        """Return whether the rows before the cursor are asked for."""
        return self.cursor[:1] == BEFORE

    def shape(self, position: Sequence[Any]) -> PageShape:
        """Return what the statement of this page depends on; `position` is that of the cursor."""
        nulls = tuple(value is None for value in position) if self.cursor else None
        return PageShape(self.backwards, nulls, self.offset > 0)

    def parameters(self, position: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the statement's parameters.

        One row more than the limit is read, to know whether there are more.
        """
        values: dict[str, Any] = {"limit": self.limit + 1}
        if self.offset:
            values["offset"] = self.offset
        for number, value in enumerate(position):
            if value is not None:
                values[f"key_{number}"] = value
        return values

    def cut(self, rows: list[str]) -> list[str]:
        """Return the rows of the page, in the list's own order."""
        return rows[: self.limit][:: -1 if self.backwards else 1]

    def neighbours(
        self, positions: list[str], keys: list[SortKey], *, more: bool
    ) -> dict[str, tuple[str, str | int]]:
        """Return by relation (`next`, `prev`) a parameter and its value that lead to that page."""
        found: dict[str, tuple[str, str | int]] = {}
        if positions and (more or self.backwards):
            found["next"] = ("cursor", write_cursor(AFTER, positions[-1], keys))
        elif more:
            found["next"] = ("cursor", self.cursor) if self.cursor else ("offset", self.offset)
        if self.cursor and positions and (more or not self.backwards):
            found["prev"] = ("cursor", write_cursor(BEFORE, positions[0], keys))
        elif self.offset and not self.cursor:
            found["prev"] = ("offset", max(0, self.offset - self.limit))
        return found


class CursorPart(NamedTuple):
    """How a cursor holds the value of a column of one type."""

    pattern: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def write_time(text: str) -> str:
    """Return a time that the database wrote as 14 hexadecimal digits of microseconds since 1970."""
    return f"{(datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND:014x}"


def read_time(digits: str) -> datetime:
    """Return the time in a cursor."""
    return EPOCH + int(digits, 16) * MICROSECOND


def read_integer(digits: str) -> int:
    """Return the integer in a cursor."""
    return int(digits, 16)


# By column type, the first that fits. A text, which has no fixed length, can only come last.
CURSOR_PARTS: dict[type, CursorPart] = {
    BigInteger: CursorPart("[0-7][0-9a-f]{15}", "{:016x}".format, read_integer),
    Integer: CursorPart(CURSOR_INTEGER, "{:08x}".format, read_integer),
    UtcDateTime: CursorPart(CURSOR_TIME, write_time, read_time),
    String: CursorPart(CURSOR_TEXT, ".{}".format, lambda text: text[1:]),
}


def cursor_part(key: SortKey) -> CursorPart:
    """Return how a cursor holds the values of a sort key."""
    return next(part for kind, part in CURSOR_PARTS.items() if isinstance(key.column.type, kind))


def write_cursor(direction: str, position: str, keys: list[SortKey]) -> str:
    """Return the cursor that points at a row, from its sort keys as a JSON array."""
    values = orjson.loads(position)
    parts = (
        NULL if value is None else cursor_part(key).write(value)
        for key, value in zip(keys, values, strict=True)
    )
    return direction + "".join(parts)


def read_cursor(cursor: str, keys: list[SortKey]) -> list[Any]:
    """Return the sort keys in a cursor, None for null; raise 400 where it is none of this list."""
    parts = [cursor_part(key) for key in keys]
    found = re.fullmatch("[ab]" + "".join(f"({NULL}|{part.pattern})" for part in parts), cursor)
    if found is None:
        raise http_error(400, {"cursor": ["Not a cursor of this list."]})
    texts = zip(parts, found.groups(), strict=True)
    return [None if text == NULL else part.read(text) for part, text in texts]
