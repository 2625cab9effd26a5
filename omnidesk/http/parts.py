"""Parts of a list: an index has the rows of each part in order, but not those of the whole list.

No index has nulls last in both directions, or `alta` before `media`. But rows without a value, or
with the same priority, are ordered by the other sort keys alone.
"""

from collections.abc import Hashable, Iterator
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import BinaryExpression, ColumnElement, Select, false, not_, true

from omnidesk.http.sorting import VALUE, SortKey, beyond, comparisons, sort_keys


class Part(NamedTuple):
    """Rows of a list, and what is known of each of their sort keys.

    That is None for null, a rank, or VALUE for any value but null.
    """

    rows: Select[Any]
    keys: list[SortKey]
    known: tuple[Hashable, ...]

    def in_order(self, *, backwards: bool) -> Select[Any]:
        """Select the rows' sort keys in the order of the list, or in the other direction."""
        columns = [key.column.label(f"key_{n}") for n, key in enumerate(self.keys)]
        clauses = (key.clause(backwards=backwards) for key in self.own_order())
        return self.rows.with_only_columns(*columns).order_by(None).order_by(*clauses)

    def own_order(self) -> Iterator[SortKey]:
        """Yield what orders the rows among themselves, as an index has it."""
        *_, before_id, row_id = (None, *self.keys)
        for key, known in zip(self.keys, self.known, strict=True):
            if known == VALUE:
                yield key._replace(nulls_last=False)
            elif known is None and key is before_id:
                # It is null for all, but PostgreSQL uses an index that has it before the id only
                # where the order names it. Elsewhere the name would keep it from the index of rows
                # without a value, which has the keys that follow.
                yield SortKey(key.column, row_id.descending)

    def beyond(
        self, place: tuple[Hashable, ...], values: list[Any], *, backwards: bool
    ) -> ColumnElement[bool]:
        """Return whether a row comes after a place in the list, or before it.

        `place` is what is known of the place's own sort keys, `values` are its parameters.
        """
        keys, bounds, passed = [], [], False
        for key, mine, other, value in zip(self.keys, self.known, place, values, strict=True):
            if mine == other == VALUE:
                keys.append(key._replace(nulls_last=False))
                bounds.append(value)
            elif mine != other:
                passed = key.follows(mine, other) != backwards
                break
        if not keys:
            return true() if passed else false()
        nulls = [False] * len(keys)
        if passed:  # those that are at the place, too
            return not_(beyond(keys, bounds, nulls, backwards=not backwards))
        return beyond(keys, bounds, nulls, backwards=backwards)


def parts(rows: Select[Any]) -> list[Part]:
    """Return the parts of a list, which together have all its rows, each once."""
    keys, found = sort_keys(rows), []
    for known in product(*map(choices, keys)):
        part = rows
        for key, value in zip(keys, known, strict=True):
            part = part.where(*conditions(rows, key, value))
        found.append(Part(part, keys, known))
    return found


def choices(key: SortKey) -> list[Hashable]:
    """Return all that can be known of a sort key."""
    if key.ranked:
        return [*range(len(key.ranked))]
    return [VALUE, None] if key.nulls_last else [VALUE]


def conditions(rows: Select[Any], key: SortKey, known: Any) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that this is known of a sort key."""
    if key.ranked:
        column, value = key.column.value, key.ranked[known]
        yield column == value
        # Where a filter asks for another value, no row need be read to see it.
        for condition in comparisons(rows, column):
            yield BinaryExpression(value, condition.right, condition.operator)
    elif key.nulls_last:
        yield key.column.is_(None) if known is None else key.column.is_not(None)
