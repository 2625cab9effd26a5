"""Lists with conditions that no index meets in the list's order, such as words or a time."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    GenerativeSelect,
    ScalarSelect,
    Select,
    and_,
    func,
    literal_column,
    select,
)

from omnidesk.db.base import Base
from omnidesk.db.types import MAX_ID

ALL: ColumnElement[int] = literal_column(str(MAX_ID), BigInteger())
Candidates = Callable[[ColumnElement[int]], GenerativeSelect]


class Sought(NamedTuple):
    """What rows are sought by: conditions, and the ids of all rows that may meet them.

    `candidates` selects these by an index, in any order, but no more than so many.
    """

    conditions: Sequence[ColumnElement[bool]]
    candidates: Candidates


class Scan(NamedTuple):
    """Rows that must be looked at one by one: those of a select that meet a condition."""

    entity: type[Base]
    rows: Select[Any]
    condition: ColumnElement[bool]
    candidates: Candidates

    def select(self) -> Select[Any]:
        """Return the select of these rows, however long it takes to find them."""
        is_candidate = self.entity.primary_key().in_(self.candidates(ALL))
        return self.rows.where(self.condition, is_candidate)


def seek(entity: type[Base], rows: Select[Any], sought: Iterable[Sought]) -> Select[Any] | Scan:
    """Return those of the rows that meet all conditions; the first that are sought give candidates.

    The conditions are those of the entity, whichever tables the rows are found in.
    """
    found = [each for each in sought if each.conditions]
    if not found:
        return rows
    conditions = [condition for each in found for condition in each.conditions]
    return Scan(entity, rows, and_(*conditions), found[0].candidates)


def row_count(rows: CTE) -> ScalarSelect[int]:
    """Return the subquery of how many rows there are."""
    return select(func.count()).select_from(rows).scalar_subquery()
