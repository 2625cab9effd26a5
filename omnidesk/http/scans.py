"""Pages of a `Scan`, in a time that does not grow with the list.

The first way that finds a page is taken. One walks a few rows of the list and looks at each: that
fills the page where many rows meet the condition, and ends where the list does. The next takes all
candidates from their index, where they are not too many; on SQLite, where they are very few, this
is tried first. The last two walk many rows, and may find a short page: its link `next` leads on
from where the walk ended.

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
    case,
    literal_column,
    null,
    select,
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
    """A way to find a page, and how many rows it looks at."""

    walks: bool
    most: int

    def finds_all(self, looked_at: int) -> bool:
        """Return whether no row was left out that the page might show."""
        return looked_at < self.most


WALKED_FIRST = (
    Way(walks=True, most=300),
    Way(walks=False, most=3_001),
    Way(walks=True, most=1_500),
    Way(walks=True, most=5_000),
)
# SQLite stops at so many candidates, where PostgreSQL would find all of a common word.
WAYS = {"postgresql": WALKED_FIRST, "sqlite": (Way(walks=False, most=601), *WALKED_FIRST)}


class ScannedPage(NamedTuple):
    """The sort keys of a page, how many rows were looked at, and the sort keys of the last."""

    page: CTE
    looked_at: ScalarSelect[int]
    last: Any


def scanned_page(scan: Scan, parts: Sequence[Part], shape: PageShape, way: Way) -> ScannedPage:
    """Return a page of those rows of the parts that meet the scan's condition.

    The parameters are those of `Page.parameters`.
    """
    most: ColumnElement[int] = literal_column(str(way.most), BigInteger())
    keys = parts[0].keys
    found: FromClause
    last: Any = null()
    if way.walks:
        walked = merged_keys(parts, shape._replace(skips=False), most)
        looked_at = walked.cte("walked").prefix_with("MATERIALIZED")
        found = meeting(scan, looked_at).subquery()
        last = last_row(looked_at, named(keys, looked_at), shape)
    else:
        looked_at = scan.candidates(most).cte("candidates").prefix_with("MATERIALIZED")
        # None where there are too many. As a condition, this would be asked after those of a row.
        few = case((row_count(looked_at) < most, most), else_=0)
        candidates = select(*looked_at.c).limit(few)
        among = candidates_among(scan, candidates, keys, shape)
        found = among.cte("found").prefix_with("MATERIALIZED")
    page = sorted_keys(found, keys, shape, LIMIT)
    return ScannedPage(page.cte("page").prefix_with("MATERIALIZED"), row_count(looked_at), last)


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
    columns = (key.column.label(f"key_{n}") for n, key in enumerate(keys))
    rows = after_cursor(scan.rows.with_only_columns(*columns).order_by(None), keys, shape)
    found = by_no_index(rows, scan.entity.__table__).where(is_candidate, scan.condition)
    if len(keys) > 1:
        return found
    sorted_id = ByDialect(postgresql=row_id + literal_column("0"), sqlite=row_id)
    in_order = SortKey(sorted_id, keys[0].descending).clause(backwards=shape.backwards)
    return found.order_by(in_order).limit(LIMIT + OFFSET if shape.skips else LIMIT)


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
