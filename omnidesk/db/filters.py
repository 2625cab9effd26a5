"""Which filters a select has, without their values: the same select then serves every value."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from math import prod
from typing import Any, NamedTuple, Self

from sqlalchemy import BindParameter, ColumnElement, String, bindparam, false, or_
from sqlalchemy.types import TypeEngine

TEXT = String()
VALUE, NULL = "value", "null"


class AnyOf(NamedTuple):
    """A list, one of whose values a column has: which of them are null."""

    nulls: tuple[bool, ...]


class Each(NamedTuple):
    """A tuple whose values are used one by one."""

    length: int


class Item(NamedTuple):
    """One value of a list."""

    position: int
    null: bool


FilterKind = str | AnyOf | Each | Item


class Filters:
    """The names of the filters that a request gives, each a parameter of the select.

    A function that builds a select gets these and no values, so it cannot branch on a value by
    mistake. What a value changes in the SQL is known here: a filter is compared by `IS NULL` when
    its value is None, and by `IN` when its value is a list, by as many parameters as it has items.
    """

    __slots__ = ("_hash", "_kinds")

    def __init__(self, **values: object) -> None:
        self._set({name: kind(value) for name, value in values.items()})

    def _set(self, kinds: dict[str, FilterKind]) -> Self:
        self._kinds = kinds
        self._hash = hash(frozenset(kinds.items()))
        return self

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filters) and self._kinds == other._kinds

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Filters({self._kinds})"

    def condition(self, name: str, column: ColumnElement[Any] | Any) -> ColumnElement[bool]:
        """Return the condition that a column has the value of a filter, or one of its values."""
        kind = self._kinds[name]
        if kind == VALUE:
            return column == bindparam(name)
        if kind == NULL or (isinstance(kind, Item) and kind.null):
            return column.is_(None)
        items = [bindparam(key, type_=column.type) for key in parameter_names(name, kind)]
        if isinstance(kind, Item):
            return column == items[0]
        found = column.in_(items) if items else false()
        return (
            or_(found, column.is_(None)) if isinstance(kind, AnyOf) and any(kind.nulls) else found
        )

    def items(self, name: str, type_: TypeEngine[Any] = TEXT) -> list[BindParameter[Any]]:
        """Return the parameter of each value of a filter that has a tuple, if there is one."""
        kind = self._kinds.get(name, Each(0))
        return [bindparam(key, type_=type_) for key in parameter_names(name, kind)]

    def conditions(self, entity: Any, *others: str) -> list[ColumnElement[bool]]:
        """Return a condition for each filter but `others`: on the entity's column of its name."""
        names = (name for name in self._kinds if name not in others)
        return [self.condition(name, getattr(entity, name)) for name in names]

    def parameter_names(self) -> Iterator[str]:
        """Return the names of the parameters that the filters need."""
        for name, kind in self._kinds.items():
            yield from parameter_names(name, kind)

    def branches(self, most: int, *others: str) -> list["Filters"]:
        """Return filters without lists, which together find the same rows, each row once.

        An index has the rows of each in order, where those of a list would be sorted. Where there
        would be more than `most`, the longest lists stay, and so do those of `others`.
        """
        kinds = {name: kind for name, kind in self._kinds.items() if name not in others}
        lists = {name: kind for name, kind in kinds.items() if isinstance(kind, AnyOf)}
        choices: dict[str, list[Item]] = {}
        for name in sorted(lists, key=lambda name: len(lists[name].nulls)):
            items = [Item(*pair) for pair in enumerate(lists[name].nulls)]
            if prod(map(len, choices.values())) * len(items) <= most:
                choices[name] = items
        return [
            Filters()._set(self._kinds | dict(zip(choices, chosen, strict=True)))
            for chosen in product(*choices.values())
        ]


def kind(value: object) -> FilterKind:
    """Return what a value changes in the SQL of its filter."""
    if value is None:
        return NULL
    if isinstance(value, list):
        return AnyOf(tuple(item is None for item in value))
    return Each(len(value)) if isinstance(value, tuple) else VALUE


def parameter_names(name: str, kind: FilterKind) -> list[str]:
    """Return the names of the parameters that a filter needs."""
    match kind:
        case AnyOf(nulls):
            return [f"{name}_{n}" for n, null in enumerate(nulls) if not null]
        case Each(length):
            return [f"{name}_{n}" for n in range(length)]
        case Item(position, null):
            return [] if null else [f"{name}_{position}"]
    return [name] if kind == VALUE else []


def parameter_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter that filters with these values have."""
    return dict(expanded(values))


def expanded(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return a pair for each parameter: none for None, one for each item of a list or tuple."""
    for name, value in values.items():
        if isinstance(value, list | tuple):
            yield from ((f"{name}_{n}", item) for n, item in enumerate(value) if item is not None)
        elif value is not None:
            yield name, value
