"""Lists: the edge cuts a page out of a view's select and says where the next one is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

from flask import Response, current_app, request
from sqlalchemy import ColumnElement, Select, UnaryExpression, func, literal, select, tuple_
from werkzeug.http import parse_dict_header

from omnidesk.api.rows import Found, find
from omnidesk.api.schemas import Schema
from omnidesk.db import UtcDateTime, read

HEADERS = {
    "Link": {
        "description": "The pages beside this one (RFC 8288): rel=next, rel=prev",
        "schema": {"type": "string"},
        "example": '</api/tickets?limit=20&cursor=a00000064>; rel="next"',
    },
    "X-Total-Count": {
        "description": "How many rows there are in all; sent when Prefer asks for it",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Preference-Applied": {
        "description": "The preference that was followed (RFC 7240)",
        "schema": {"type": "string"},
    },
}
PREFER = {
    "in": "header",
    "name": "Prefer",
    "description": "count=exact asks for X-Total-Count, at the cost of a count (RFC 7240)",
    "schema": {"type": "string"},
    "example": "count=exact",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AFTER, BEFORE = "a", "b"


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

    @property
    def keys(self) -> list[Any]:
        """The columns, under names that nothing else has."""
        return [column.label(f"_key_{n}") for n, column in enumerate(self.columns)]

    def cursor(self, direction: str, row: Any) -> str:
        """Give a cursor at a row: hexadecimal digits, 14 for a time and 8 for a number."""
        return direction + "".join(digits(value) for value in row[-len(self.columns) :])

    def beyond(self, cursor: str) -> ColumnElement[bool]:
        """Tell of a row whether it comes after the cursor, or before if it leads back."""
        values, rest = [], cursor[1:]
        for column in self.columns:
            length = 14 if isinstance(column.type, UtcDateTime) else 8
            number, rest = int(rest[:length], 16), rest[length:]
            value = EPOCH + number * MICROSECOND if length == 14 else number
            values.append(literal(value, column.type))
        here, there = tuple_(*self.columns), tuple_(*values)
        return here > there if (cursor[0] == AFTER) != self.descending else here < there

    def reversed(self) -> list[Any]:
        """Give the opposite order."""
        return [c.asc() if self.descending else c.desc() for c in self.columns]


def digits(value: datetime | int) -> str:
    """Give a part of a cursor: microseconds since 1970 for a time."""
    if isinstance(value, datetime):
        return f"{(value - EPOCH) // MICROSECOND:014x}"
    return f"{value:08x}"


class Part(NamedTuple):
    """The part of a list that a client asks for."""

    limit: int
    offset: int
    cursor: str = ""

    @property
    def backwards(self) -> bool:
        """Whether it ends where the cursor is, instead of beginning there."""
        return self.cursor.startswith(BEFORE)

    def of(self, rows: Select[Any], order: Order) -> Select[Any]:
        """Select this part, and one row more that tells whether there are more."""
        part = rows.limit(self.limit + 1).offset(self.offset)
        if self.cursor:
            part = part.where(order.beyond(self.cursor))
        if self.backwards:
            part = part.order_by(None).order_by(*order.reversed())
        return part

    def cut(self, found: Found) -> Found:
        """Give the rows to send, in the list's own order."""
        step = -1 if self.backwards else 1
        return Found(found.shown[: self.limit][::step], found.rows[: self.limit][::step])

    def neighbours(self, rows: Sequence[Any], order: Order, *, more: bool) -> dict[str, Any]:
        """Give where the parts beside this one are, by their relation."""
        places: dict[str, Any] = {}
        if rows and (more or self.backwards):
            places["next"] = {"cursor": order.cursor(AFTER, rows[-1])}
        if self.cursor and rows and (more or not self.backwards):
            places["prev"] = {"cursor": order.cursor(BEFORE, rows[0])}
        elif self.offset and not self.cursor:
            places["prev"] = {"offset": max(0, self.offset - self.limit)}
        return places


def page(rows: Select[Any], schema: type[Schema], part: Part, then: Any) -> Response:
    """Answer with one part of the rows, and with its neighbours' addresses."""
    order = Order.of(rows)
    found = find(part.of(rows, order), schema, *order.keys)
    sent, more = part.cut(found), len(found.rows) > part.limit
    if then is not None:
        then(sent.rows, **(request.view_args or {}))
    answer = cast("Response", current_app.json.response(sent.shown))
    neighbours = part.neighbours(sent.rows, order, more=more)
    answer.headers.extend(links(neighbours, part.limit) | total(rows))
    return answer


def links(neighbours: dict[str, Any], limit: int) -> dict[str, str]:
    """Give the Link header of a page, its other parameters kept."""
    if not neighbours:
        return {}
    kept = {name: value for name, value in request.args.items() if name not in ("offset", "cursor")}
    path = request.script_root + request.path
    addresses = (
        f'<{path}?{urlencode(kept | {"limit": limit} | place)}>; rel="{rel}"'
        for rel, place in neighbours.items()
    )
    return {"Link": ", ".join(addresses)}


def total(rows: Select[Any]) -> dict[str, str]:
    """Give the exact count of all rows, where the client prefers to wait for it."""
    preferences = parse_dict_header(", ".join(request.headers.getlist("Prefer")))
    if preferences.get("count") != "exact":
        return {}
    ((count,),) = read(select(func.count()).select_from(rows.order_by(None).subquery()))
    return {"X-Total-Count": str(count), "Preference-Applied": "count=exact"}
