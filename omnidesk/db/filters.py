"""Which filters a select has, without their values: the same select then serves every value."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, String, bindparam, false

SCALAR, NULL = -1, -2


class Filters:
    """The names of the filters that a request gives, each a parameter of the select.

    A function that builds a select gets these and no values, so it cannot branch on a value by
    mistake. What a value changes in the SQL is known here: a filter is compared by `IS NULL` when
    its value is None, and by `IN` when its value is a list, by as many parameters as it has items.
    """

    __slots__ = ("_hash", "_sizes")

    def __init__(self, **values: object) -> None:
        self._sizes = {name: size(value) for name, value in values.items()}
        self._hash = hash(frozenset(self._sizes.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filters) and self._sizes == other._sizes

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Filters({self._sizes})"

    def condition(self, name: str, column: ColumnElement[Any] | Any) -> ColumnElement[bool]:
        """Return the condition that a column has the value of a filter, or one of its values."""
        number = self._sizes[name]
        if number == SCALAR:
            return column == bindparam(name)
        if number == NULL:
            return column.is_(None)
        items = [bindparam(f"{name}_{n}", type_=column.type) for n in range(number)]
        return column.in_(items) if items else false()

    def items(self, name: str) -> list[BindParameter[str]]:
        """Return the parameter of each item of a filter whose value is a list of texts, if any."""
        return [bindparam(f"{name}_{n}", type_=String()) for n in range(self._sizes.get(name, 0))]

    def conditions(self, entity: Any, *others: str) -> list[ColumnElement[bool]]:
        """Return a condition for each filter but `others`: on the entity's column of its name."""
        names = (name for name in self._sizes if name not in others)
        return [self.condition(name, getattr(entity, name)) for name in names]

    def parameter_names(self) -> Iterator[str]:
        """Return the names of the parameters that the filters need."""
        for name, number in self._sizes.items():
            if number == SCALAR:
                yield name
            yield from (f"{name}_{n}" for n in range(number))


def size(value: object) -> int:
    """Return how many items a list has; SCALAR for any other value and NULL for None."""
    if value is None:
        return NULL
    return len(value) if isinstance(value, list | tuple) else SCALAR


def parameter_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter that filters with these values have."""
    return dict(expanded(values))


def expanded(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return a pair for each parameter: none for None, one for each item of a list."""
    for name, value in values.items():
        if isinstance(value, list | tuple):
            yield from ((f"{name}_{n}", item) for n, item in enumerate(value))
        elif value is not None:
            yield name, value
