"""What a list is ordered by."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BinaryExpression,
    Case,
    ColumnElement,
    Integer,
    Null,
    Select,
    UnaryExpression,
    and_,
    false,
    or_,
    tuple_,
)
from sqlalchemy.sql import operators

from omnidesk.db import MAX_ID
from omnidesk.db.change_log import CommitOrder

FIRST_TIME, LAST_TIME = "1970-01-01", "2200-01-01"  # of all that are accepted
VALUE = "value"  # what is known of a sort key of which nothing else is
COMPARISONS = {operators.eq, operators.lt, operators.le, operators.gt, operators.ge}


class SortKey(NamedTuple):
    """A column that a list is ordered by, or the rank of its value: a CASE that counts values."""

    column: Any
    descending: bool = False
    nulls_last: bool = False

    @property
    def is_id(self) -> bool:
        """Return whether it is an id of rows, such as most lists have last."""
        return type(self.column.type) is Integer

    @property
    def ranked(self) -> list[ColumnElement[Any]]:
        """Return the values in their order, if the key is a rank."""
        is_rank = isinstance(self.column, Case)
        return [value for value, _rank in self.column.whens] if is_rank else []

    @property
    def first(self) -> int | str:
        """Return the first value that the key can have in its order, of an id one before it."""
        if self.ranked:
            return len(self.ranked) - 1 if self.descending else 0
        if self.is_id:
            return MAX_ID if self.descending else 0
        return LAST_TIME if self.descending else FIRST_TIME

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

    def known(self, value: Any) -> Hashable:
        """Return what is known of the key's value: None for null, its rank, or VALUE."""
        return value if value is None or self.ranked else VALUE

    def follows(self, known: Any, other: Any) -> bool:
        """Return whether what one thing is known of comes after another, in the key's order."""
        if known is None or other is None:
            return known is None
        return bool(known > other) != self.descending


def sort_keys(rows: Select[Any]) -> list[SortKey]:
    """Return what a select is ordered by; raise TypeError unless the last is of a primary key.

    Rows with the same sort keys would be left out between two pages.
    """
    keys = [sort_key(clause) for clause in rows._order_by_clauses]
    if not keys or not getattr(keys[-1].column, "primary_key", False):
        raise TypeError("the rows of a list must be ordered by their primary key in the end")
    return [key._replace(nulls_last=key.nulls_last and not has_value(rows, key)) for key in keys]


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


def has_value(rows: Select[Any], key: SortKey) -> bool:
    """Return whether a sort key is never null, by a select's conditions."""
    return any(
        condition.operator in COMPARISONS
        or (condition.operator is operators.is_not and isinstance(condition.right, Null))
        for condition in comparisons(rows, key.column)
    )


def comparisons(rows: Select[Any], column: Any) -> list[BinaryExpression[bool]]:
    """Return those of a select's conditions that compare a column with values."""
    return [
        condition
        for condition in rows._where_criteria
        if isinstance(condition, BinaryExpression) and condition.left.shares_lineage(column)
    ]


def cursor_keys(keys: Sequence[SortKey]) -> list[SortKey]:
    """Return the sort keys that a cursor holds; a `CommitOrder` is looked up by the others."""
    return [key for key in keys if not isinstance(key.column, CommitOrder)]


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
