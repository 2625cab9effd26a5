"""Pages of a list: `limit`, `offset` and cursors (keyset pagination), and links to the next page.

A cursor holds the sort keys of the row that it points at, so a page costs the same at any depth.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, Self

import orjson
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    bindparam,
    literal_column,
    select,
    tuple_,
    union_all,
)

from omnidesk.db.change_log import ByDialect, CommitOrder
from omnidesk.http.cursors import AFTER, BEFORE, write_back_cursor, write_cursor
from omnidesk.http.parts import Part
from omnidesk.http.sorting import VALUE, SortKey, beyond, cursor_keys, uniform

ASKED: ColumnElement[int] = bindparam("limit", type_=BigInteger())
# SQLite newer than 3.46 compiles a statement anew each time if a LIMIT is a parameter alone.
LIMIT = ByDialect(postgresql=ASKED, sqlite=ASKED + literal_column("0"))
OFFSET: ColumnElement[int] = bindparam("offset", type_=BigInteger())
Links = dict[str, tuple[str, str | int]]  # by relation, a parameter and its value


class PageShape(NamedTuple):
    """What the statement of a page depends on, beside the list."""

    backwards: bool = False
    place: tuple[Hashable, ...] | None = None  # what is known of the cursor's keys; None for none
    skips: bool = False


def page_select(rows: Select[Any], keys: list[SortKey], shape: PageShape) -> Select[Any]:
    """Return the select of a page, whose parameters are those of `Page.parameters`."""
    backwards = shape.backwards
    page = rows.order_by(None).order_by(*(key.clause(backwards=backwards) for key in keys))
    page = after_cursor(page, keys, shape)
    if shape.skips:
        page = skip(page, keys, backwards=backwards)
    return page.limit(LIMIT)


def after_cursor(rows: Select[Any], keys: Sequence[SortKey], shape: PageShape) -> Select[Any]:
    """Return those of the rows that come after the cursor, or before it, if there is one."""
    if shape.place is None:
        return rows
    nulls = [known is None for known in shape.place]
    return rows.where(beyond(keys, place(keys), nulls, backwards=shape.backwards))


def merged_page(parts: Sequence[Part], shape: PageShape) -> CTE:
    """Return the sort keys of a page whose rows the parts of a list have, each in its order.

    The parameters are those of `Page.parameters`. Of each part, only as many rows are read as the
    page may need.
    """
    page = merged_keys(parts, shape, LIMIT)
    # Materialized, or the rows would be written as JSON before they are sorted and cut.
    return page.cte("page").prefix_with("MATERIALIZED")


def merged_keys(parts: Sequence[Part], shape: PageShape, limit: ColumnElement[int]) -> Select[Any]:
    """Return the select of the first rows' sort keys, as for `merged_page`."""
    read = limit + OFFSET if shape.skips else limit
    pages = [select(part_page(part, shape).limit(read).subquery()) for part in parts]
    return sorted_keys(union_all(*pages).subquery(), parts[0].keys, shape, limit)


def sorted_keys(
    found: FromClause, keys: Sequence[SortKey], shape: PageShape, limit: ColumnElement[int]
) -> Select[Any]:
    """Return the select of the first of some sort keys, in the order of the page."""
    order = (key.clause(backwards=shape.backwards) for key in named(keys, found))
    rows = select(found).order_by(*order)
    if shape.skips:
        rows = rows.offset(OFFSET)
    return rows.limit(limit)


def named(keys: Sequence[SortKey], rows: FromClause) -> list[SortKey]:
    """Return sort keys by the columns that rows have in their order."""
    return [key._replace(column=column) for key, column in zip(keys, rows.c, strict=True)]


def part_page(part: Part, shape: PageShape) -> Select[Any]:
    """Return the select of the sort keys of a part's rows that are on the page or beyond."""
    rows = part.in_order(backwards=shape.backwards)
    if shape.place is None:
        return rows
    known = known_place(part.keys, shape.place)
    return rows.where(part.beyond(known, place(part.keys), backwards=shape.backwards))


def known_place(keys: Sequence[SortKey], held: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return what is known of a place's sort keys, from what is known of those in its cursor."""
    return (*[VALUE] * (len(keys) - len(held)), *held)


def place(keys: Sequence[SortKey]) -> list[Any]:
    """Return the sort keys of the row that a cursor points at, from the statement's parameters."""
    held = cursor_keys(keys)
    values = [bindparam(f"key_{n}", type_=key.column.type) for n, key in enumerate(held)]
    found = [key.column.at(*values) for key in keys if isinstance(key.column, CommitOrder)]
    return [*found, *values]


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

    def shape(self, position: Sequence[Any], keys: Sequence[SortKey]) -> PageShape:
        """Return what the statement of this page depends on; `position` is that of the cursor."""
        known = (key.known(value) for key, value in zip(keys, position, strict=True))
        return PageShape(self.backwards, tuple(known) if self.cursor else None, self.offset > 0)

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
        self, positions: list[str], keys: list[SortKey], *, more: bool, resume: str | None = None
    ) -> Links:
        """Return by relation (`next`, `prev`) a parameter and its value that lead to that page.

        `resume` is the position from which to look for more where the page is short.
        """
        found: Links = {}
        if resume is not None:
            more = True
            positions = [resume, *positions] if self.backwards else [*positions, resume]
        if positions and (more or self.backwards):
            found["next"] = ("cursor", write_cursor(AFTER, positions[-1], keys))
        elif more:
            found["next"] = ("cursor", self.cursor) if self.cursor else ("offset", self.offset)
        if self.cursor and positions and (more or not self.backwards):
            found["prev"] = ("cursor", write_cursor(BEFORE, positions[0], keys))
        elif self.cursor and not positions and not self.backwards and keys[-1].is_id:
            found["prev"] = ("cursor", write_back_cursor(self.cursor, keys))
        elif self.offset and not self.cursor:
            found["prev"] = ("offset", max(0, self.offset - self.limit))
        return found


class PageRows(NamedTuple):
    """The rows of a page as JSON, a line for each, and each row's sort keys as a JSON array.

    `resume` is the position from which to look for more, where the page is short.
    """

    text: str | None
    positions: list[str]
    keys: list[SortKey]
    last_change: str | None = None
    resume: str | None = None

    @property
    def rows(self) -> list[str]:
        """Return the rows, one by one."""
        return lines(self.text)

    def json(self, page: Page) -> str:
        """Return the JSON array of the page's rows."""
        surplus = len(self.positions) - page.limit
        if page.backwards or surplus > 1:
            return f"[{','.join(page.cut(self.rows))}]"
        text = self.text or ""
        if surplus == 1:  # the last row only tells that there are more
            text = text[: text.rindex("\n")]
        return "[" + text.replace("\n", ",") + "]"  # to split and join it would take thrice as long

    def headed_by(self, row: str, page: Page) -> Self:
        """Return the rows of a page of a list whose first is another row, which it may show."""
        before_all = orjson.dumps([key.first for key in self.keys]).decode()
        if page.backwards:
            if self.resume is not None or len(self.positions) > page.limit:
                return self
            rows, positions = [*self.rows, row], [*self.positions, before_all]
            return self._replace(text="\n".join(rows), positions=positions)
        rows, positions = [row, *self.rows], [before_all, *self.positions]
        resume = self.resume if len(rows) <= page.limit else None
        return self._replace(text="\n".join(rows), positions=positions, resume=resume)

    def neighbours(self, page: Page, *, endless: bool = False) -> Links:
        """Return what leads to the pages beside this one, as `Page.neighbours` does."""
        more = endless or len(self.positions) > page.limit
        positions = page.cut(self.positions)
        return page.neighbours(positions, self.keys, more=more, resume=self.resume)


def lines(text: str | None) -> list[str]:
    """Return the lines that the database joined; none for no rows."""
    return text.split("\n") if text else []
