"""What a list is ordered by."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, UnaryExpression, false, or_
from sqlalchemy.sql import operators

from omnidesk.db.change_log import CommitOrder


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


def cursor_keys(keys: list[SortKey]) -> list[SortKey]:
    """Return the sort keys that a cursor holds; a `CommitOrder` is looked up by the others."""
    return [key for key in keys if not isinstance(key.column, CommitOrder)]
