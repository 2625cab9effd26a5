"""Pages of a `Scan`, in a time that does not grow with the list.

The first way that finds a page is taken. A walk along a few rows of the list, which looks at each,
fills the page where many rows meet the condition, and ends where the list does. Else all candidates
are taken from their index, where they are not too many: on PostgreSQL by the same statement. SQLite
tries this first where they are very few. The last two ways walk many rows, and may find a short
page: its link `next` leads on from where the walk ended.

What they look at is bounded by what strangers may cost, too: see SECURITY.md.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    Table,
    and_,
    case,
    column,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.visitors import replacement_traverse

from omnidesk.db import json_sql
from omnidesk.db.change_log import ONE, ByDialect
from omnidesk.db.scans import Scan, is_among, row_count
from omnidesk.http.pagination import (
    LIMIT,
    OFFSET,
    PageShape,
    after_cursor,
    merged_keys,
    named,
    sorted_keys,
)
from omnidesk.http.parts import Part
from omnidesk.http.sorting import SortKey


class Way(NamedTuple):
    """A way to find a page: to walk so many rows, and to look at fewer candidates than so many.

    Where it does both, the candidates are not looked for if the walk is enough.
    """

    walked: int = 0
    candidates: int = 0


# SQLite stops at so many candidates, where PostgreSQL would find all of a common word.
WAYS = {
    "postgresql": (Way(300, 3_001), Way(1_500), Way(5_000)),
    "sqlite": (Way(0, 601), Way(300), Way(0, 3_001), Way(1_500), Way(5_000)),
}


class ScannedPage(NamedTuple):
    """The sort keys of a page, whether it lacks no row, and those of the row a walk ended at."""

    page: CTE
    is_complete: ColumnElement[bool]
    last: Any


class Walk(NamedTuple):
    """The sort keys of the first rows of a list, and of those among them that meet a condition."""

    rows: CTE
    found: CTE
    is_all: ColumnElement[bool]  # whether the list has no other rows


def scanned_page(scan: Scan, parts: Sequence[Part], shape: PageShape, way: Way) -> ScannedPage:
    """Return a page of those rows of the parts that meet the scan's condition.

    The parameters are those of `Page.parameters`.
    """
    keys = parts[0].keys
    found: FromClause
    last: Any = null()
    if not way.walked:
        found, is_complete = candidates_found(scan, keys, shape, way, number(way.candidates))
    else:
        walk = walk_of(scan, parts, shape, way)
        if way.candidates:
            most = candidates_wanted(walk, shape, way)
            others, is_complete = candidates_found(scan, keys, shape, way, most)
            met = select(walk.found).where(most == number(0))
            found = union_all(met, select(others)).subquery()
        else:
            found, is_complete = walk.found, walk.is_all
            last = last_row(walk.rows, named(keys, walk.rows), shape)
    page = materialized(sorted_keys(found, keys, shape, LIMIT), "page")
    return ScannedPage(page, is_complete, last)


def number(most: int) -> ColumnElement[int]:
    """Return a number as a literal: a prepared statement has only the parameters of its request."""
    return literal_column(str(most), BigInteger())


def read(shape: PageShape) -> ColumnElement[int]:
    """Return how many rows a page needs, with those that it skips."""
    return LIMIT + OFFSET if shape.skips else LIMIT


def materialized(rows: Any, name: str) -> CTE:
    """Return the CTE of some rows, which are read once."""
    found: CTE = rows.cte(name).prefix_with("MATERIALIZED")
    return found


def walk_of(scan: Scan, parts: Sequence[Part], shape: PageShape, way: Way) -> Walk:
    """Return the walk along the first rows of the parts."""
    most = number(way.walked)
    rows = materialized(merged_keys(parts, shape._replace(skips=False), most), "walked")
    return Walk(rows, materialized(meeting(scan, rows), "met"), row_count(rows) < most)


def candidates_wanted(walk: Walk, shape: PageShape, way: Way) -> ScalarSelect[int]:
    """Return the subquery of how many candidates to look for: 0 where the walk is enough."""
    is_enough = or_(row_count(walk.found) >= read(shape), walk.is_all)
    most = case((is_enough, number(0)), else_=number(way.candidates))
    wanted = materialized(select(most.label("most")), "wanted")
    return select(wanted.c.most).scalar_subquery()


def candidates_found(
    scan: Scan, keys: Sequence[SortKey], shape: PageShape, way: Way, most: ColumnElement[int]
) -> tuple[CTE, ColumnElement[bool]]:
    """Return the sort keys of the candidates on a page, and whether no other could be on it.

    Where there are `most`, which are too many, none is on it.
    """
    looked_at = materialized(scan.candidates(most), "candidates")
    are_all = row_count(looked_at) < number(way.candidates)
    # As a condition, this would be asked after those of a row.
    few = select(*looked_at.c).limit(case((are_all, number(way.candidates)), else_=number(0)))
    return materialized(candidates_among(scan, few, keys, shape), "found"), are_all


def meeting(scan: Scan, walked: CTE) -> Select[Any]:
    """Return those of the walked rows that meet the condition."""
    *_, row_id = walked.c
    is_row = scan.entity.primary_key() == row_id
    return select(walked).join(scan.entity, is_row).where(scan.condition)


def candidates_among(
    scan: Scan, candidates: Select[int], keys: Sequence[SortKey], shape: PageShape
) -> Select[Any]:
    """Return the sort keys of the rows of a page that are candidates and meet the condition.

    It has no order, or the database might walk the list in that order to find them. But SQLite
    looks candidates up by their ids in order: where the list has that order, the first are enough.
    """
    row_id = scan.entity.primary_key()
    is_candidate = is_among(row_id, candidates)
    condition = ByDialect(postgresql=and_(true(), *scan.unmet), sqlite=scan.condition)
    columns = (key.column.label(f"key_{n}") for n, key in enumerate(keys))
    rows = after_cursor(scan.rows.with_only_columns(*columns).order_by(None), keys, shape)
    found = by_no_index(rows, scan.entity.__table__).where(is_candidate, condition)
    if len(keys) > 1:
        return found
    sorted_id = ByDialect(postgresql=row_id + literal_column("0"), sqlite=row_id)
    in_order = SortKey(sorted_id, keys[0].descending).clause(backwards=shape.backwards)
    found = found.order_by(in_order).limit(read(shape))
    if not scan.candidates_are_all:
        return found
    ids = candidates_alone(candidates, keys[0], shape)
    either = ByDialect(postgresql=ids.scalar_subquery(), sqlite=found.scalar_subquery())
    key = column("key_0", row_id.type)
    return select(either.table_valued(key, name="either").c.key_0)


def candidates_alone(candidates: Select[int], key: SortKey, shape: PageShape) -> Select[int]:
    """Return the first ids of a page that are candidates, each once, without a look at the rows."""
    looked_at = candidates.subquery()
    ids = [key._replace(column=looked_at.c[0])]
    found = after_cursor(select(looked_at.c[0].label("key_0")).distinct(), ids, shape)
    return found.order_by(ids[0].clause(backwards=shape.backwards)).limit(read(shape))


def by_no_index(rows: Select[Any], table: Table) -> Select[Any]:
    """Return a select for which SQLite uses no index of a table; its primary key, if asked by it.

    It takes a few equal values for narrower than the candidates, and would read all rows with them.
    """

    def replace(element: Any, **_: Any) -> Any:
        if not isinstance(element, Column) or element.table is not table:
            return None
        return ByDialect(postgresql=element, sqlite=literal_column("").op("+")(element))

    return cast("Select[Any]", replacement_traverse(rows, {}, replace))


def last_row(walked: CTE, keys: Sequence[SortKey], shape: PageShape) -> ScalarSelect[Any]:
    """Return the subquery of the sort keys of the row at which a walk ended."""
    order = (key.clause(backwards=not shape.backwards) for key in keys)
    position = select(json_sql.JsonArray(*walked.c)).order_by(*order)
    return position.limit(ONE).scalar_subquery()
