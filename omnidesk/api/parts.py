"""The part of a list that a client asks for: where it begins, and where its neighbours do."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, UnaryExpression, bindparam, tuple_

from omnidesk.api.rows import Found
from omnidesk.log import CommitOrder

AFTER, BEFORE = "a", "b"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Order(NamedTuple):
    """What a select is ordered by: columns that are unique together, all up or all down."""

    columns: list[Any]
    descending: bool

    @classmethod
    def of(cls, rows: Select[Any]) -> "Order":
        """Give the order of a select."""
        clauses = rows._order_by_clauses
        descending = isinstance(clauses[0], UnaryExpression)
        return cls([getattr(clause, "element", clause) for clause in clauses], descending)

    def reversed(self) -> "Order":
        """Give the opposite order."""
        return self._replace(descending=not self.descending)

    def clauses(self) -> list[Any]:
        """Give the order as a select takes it."""
        return [c.desc() if self.descending else c.asc() for c in self.columns]

    def beyond(self, place: Any, *, at: bool = False) -> Any:
        """Tell of a row whether it comes after a place, or at it."""
        here: Any = tuple_(*self.columns)
        if at:
            return here <= place if self.descending else here >= place
        return here < place if self.descending else here > place

    @property
    def keys(self) -> list[Any]:
        """Return the columns whose values are in a cursor: a `CommitOrder` is looked up by them."""
        return [column for column in self.columns if not isinstance(column, CommitOrder)]

    def cursor(self) -> Any:
        """Give the place of a cursor, its values being parameters."""
        values = [bindparam(f"key_{n}", type_=key.type) for n, key in enumerate(self.keys)]
        found = [c.at(*values) for c in self.columns if isinstance(c, CommitOrder)]
        return tuple_(*found, *values)


class Shape(NamedTuple):
    """What makes one part of a list another statement than the next, and not only other values."""

    direction: str
    skips: bool

    def of(self, rows: Select[Any], order: Order) -> Select[Any]:
        """Select a part of this shape; how many rows, and from where, are parameters."""
        if self.direction == BEFORE:
            order = order.reversed()
        part = rows.order_by(None).order_by(*order.clauses())
        if self.direction:
            part = part.where(order.beyond(order.cursor()))
        if self.skips:
            # What is passed over is passed over in an index: only keys are looked at.
            keys = part.with_only_columns(*order.columns)
            first = keys.limit(1).offset(bindparam("offset")).scalar_subquery()
            part = part.where(order.beyond(first, at=True))
        return part.limit(bindparam("limit"))


class Part(NamedTuple):
    """How many rows a client asks for, and from where."""

    limit: int
    offset: int
    cursor: str = ""

    @property
    def shape(self) -> Shape:
        """The statement that selects this part."""
        return Shape(self.cursor[:1], self.offset > 0)

    def values(self) -> dict[str, Any]:
        """Give the values of its parameters; one row more tells whether there are more."""
        values: dict[str, Any] = {"limit": self.limit + 1}
        if self.offset:
            values["offset"] = self.offset
        if self.cursor:
            values |= {f"key_{n}": value for n, value in enumerate(read_cursor(self.cursor))}
        return values

    def cut(self, found: Found) -> Found:
        """Give the rows to send, in the list's own order."""
        step = -1 if self.cursor[:1] == BEFORE else 1
        return Found(found.shown[: self.limit][::step], found.keys[: self.limit][::step])

    def neighbours(self, keys: list[str], *, more: bool) -> dict[str, tuple[str, str | int]]:
        """Give where the parts beside this one begin: by relation, a parameter and its value."""
        backwards = self.cursor[:1] == BEFORE
        places: dict[str, tuple[str, str | int]] = {}
        if keys and (more or backwards):
            places["next"] = ("cursor", write_cursor(AFTER, keys[-1]))
        elif more:
            places["next"] = ("cursor", self.cursor) if self.cursor else ("offset", self.offset)
        if self.cursor and keys and (more or not backwards):
            places["prev"] = ("cursor", write_cursor(BEFORE, keys[0]))
        elif self.offset and not self.cursor:
            places["prev"] = ("offset", max(0, self.offset - self.limit))
        return places


def write_cursor(direction: str, key: str) -> str:
    """Give a cursor at a row: hexadecimal digits, 14 for a time and 8 for a number.

    A time has a number beside it. A word stands alone, as it is, behind a dot.
    """
    values = orjson.loads(key)
    if isinstance(values[-1], str):
        return f"{direction}.{values[0]}"
    return direction + "".join(digits(value) for value in values)


def digits(value: str | int) -> str:
    """Give a part of a cursor: microseconds since 1970 for a time."""
    if isinstance(value, int):
        return f"{value:08x}"
    time = datetime.fromisoformat(value).replace(tzinfo=UTC)
    return f"{(time - EPOCH) // MICROSECOND:014x}"


def read_cursor(cursor: str) -> list[Any]:
    """Give the key in a cursor: a word, or a number, with a time before it where there is one."""
    if cursor[1] == ".":
        return [cursor[2:]]
    time, number = cursor[1:-8], int(cursor[-8:], 16)
    return [EPOCH + int(time, 16) * MICROSECOND, number] if time else [number]
