"""Lists that no index has in their order: because of words or times, or in parts only."""

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
    any_,
    func,
    literal_column,
    select,
)

from omnidesk.db.base import Base
from omnidesk.db.change_log import ByDialect
from omnidesk.db.filters import Filters
from omnidesk.db.types import MAX_ID

ALL: ColumnElement[int] = literal_column(str(MAX_ID), BigInteger())
Candidates = Callable[[ColumnElement[int]], GenerativeSelect]


class Criterion(NamedTuple):
    """Conditions that no index meets in the order of the list, and all rows that may meet them.

    `candidates` selects the ids of these by another index, in any order, but no more than so many.
    They are `exact` where on PostgreSQL all of them meet the conditions.
    """

    conditions: Sequence[ColumnElement[bool]]
    candidates: Candidates
    exact: bool = False


class Divided(NamedTuple):
    """Rows that several selects find together, each row by one: an index has those in order."""

    whole: Select[Any]
    selects: Sequence[Select[Any]]

    def select(self) -> Select[Any]:
        """Return one select of all rows, however long it takes to sort them."""
        return self.whole


class Scan(NamedTuple):
    """Rows that must be looked at one by one: those of a select that meet a condition.

    `unmet` are those of its conditions that candidates may not meet on PostgreSQL.
    """

    entity: type[Base]
    rows: Select[Any]
    condition: ColumnElement[bool]
    candidates: Candidates
    unmet: Sequence[ColumnElement[bool]]

    def select(self) -> Select[Any]:
        """Return the select of these rows, however long it takes to find them."""
        is_candidate = self.entity.primary_key().in_(self.candidates(ALL))
        return self.rows.where(self.condition, is_candidate)

    @property
    def candidates_are_all(self) -> bool:
        """Return whether the candidates are the rows that are looked for, on PostgreSQL."""
        return not self.unmet and self.rows.whereclause is None


def matching_all(
    entity: type[Base], rows: Select[Any], criteria: Iterable[Criterion]
) -> Select[Any] | Scan:
    """Return those of the rows that meet all criteria; the first with a condition has candidates.

    The conditions are those of the entity, whichever tables the rows are found in.
    """
    given = [criterion for criterion in criteria if criterion.conditions]
    if not given:
        return rows
    conditions = [condition for criterion in given for condition in criterion.conditions]
    unmet = conditions[len(given[0].conditions) :] if given[0].exact else conditions
    return Scan(entity, rows, and_(*conditions), given[0].candidates, unmet)


def few(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition that few rows meet, so that they are found by it, whatever else is asked.

    SQLite, which knows no figures of the rows, would prefer an index of two columns to one of this.
    """
    return likelihood(condition, "0.000001")


def conditions_by(
    entity: Any, filters: Filters, narrow: Sequence[str], *others: str
) -> list[ColumnElement[bool]]:
    """Return a condition for each filter but `others`, those of `narrow` as ones that few meet."""
    wide = filters.conditions(entity, *others, *narrow)
    found = [filters.condition(name, getattr(entity, name)) for name in narrow]
    # Nothing competes with one that stands alone, and SQLite would sort what an index has in order.
    return [*wide, *map(few, found)] if wide else found


def many(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition that most rows meet, so that SQLite finds none by it."""
    return likelihood(condition, "0.99")


def likelihood(condition: ColumnElement[bool], probability: str) -> ColumnElement[bool]:
    """Return a condition, for SQLite with how probable it is."""
    hint = func.likelihood(condition, literal_column(probability))
    return ByDialect(postgresql=condition, sqlite=hint)


def is_among(row_id: Any, ids: GenerativeSelect) -> ColumnElement[bool]:
    """Return the condition that a row's id is one of those that a select finds first."""
    found = ids.scalar_subquery()
    # PostgreSQL looks up each of an array, where it would search a subquery for each row.
    return ByDialect(postgresql=row_id == any_(func.array(found)), sqlite=row_id.in_(ids))


def row_count(rows: CTE) -> ScalarSelect[int]:
    """Return the subquery of how many rows there are."""
    return select(func.count()).select_from(rows).scalar_subquery()
