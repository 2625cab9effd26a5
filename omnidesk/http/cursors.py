"""Cursors: the sort keys of the row that a page begins after or ends before, as a text."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BigInteger, Integer, String

from omnidesk.db import MAX_ID, UtcDateTime
from omnidesk.http.errors import http_error
from omnidesk.http.schemas import CURSOR_INTEGER, CURSOR_TEXT, CURSOR_TIME
from omnidesk.http.sorting import SortKey

AFTER, BEFORE, NULL = "a", "b", "~"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class CursorPart(NamedTuple):
    """How a cursor holds the value of a column of one type."""

    pattern: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def write_time(text: str) -> str:
    """Return a time that the database wrote as 14 hexadecimal digits of microseconds since 1970."""
    return f"{(datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // MICROSECOND:014x}"


def read_time(digits: str) -> datetime:
    """Return the time in a cursor."""
    return EPOCH + int(digits, 16) * MICROSECOND


def read_integer(digits: str) -> int:
    """Return the integer in a cursor."""
    return int(digits, 16)


# By column type. A text, which has no fixed length, can only come last.
CURSOR_PARTS: dict[type, CursorPart] = {
    BigInteger: CursorPart("[0-7][0-9a-f]{15}", "{:016x}".format, read_integer),
    Integer: CursorPart(CURSOR_INTEGER, "{:08x}".format, read_integer),
    UtcDateTime: CursorPart(CURSOR_TIME, write_time, read_time),
    String: CursorPart(CURSOR_TEXT, ".{}".format, lambda text: text[1:]),
}


def cursor_part(key: SortKey) -> CursorPart:
    """Return how a cursor holds the values of a sort key."""
    kinds = type(key.column.type).__mro__
    return next(CURSOR_PARTS[kind] for kind in kinds if kind in CURSOR_PARTS)


def write_cursor(direction: str, position: str, keys: list[SortKey]) -> str:
    """Return the cursor that points at a row, from its sort keys as a JSON array."""
    values = orjson.loads(position)
    parts = (
        NULL if value is None else cursor_part(key).write(value)
        for key, value in zip(keys, values, strict=True)
    )
    return direction + "".join(parts)


def write_back_cursor(cursor: str, keys: list[SortKey]) -> str:
    """Return the cursor that leads back from a page without rows, which begins after a cursor.

    It points between that row and the next: beside it, by the id that comes last in both.
    """
    row_id = int(cursor[-8:], 16) + (-1 if keys[-1].descending else 1)
    row_id = max(0, min(row_id, MAX_ID))
    return f"{BEFORE}{cursor[1:-8]}{row_id:08x}"


def read_cursor(cursor: str, keys: list[SortKey]) -> list[Any]:
    """Return the sort keys in a cursor, None for null; raise 400 where it is none of this list."""
    parts = [cursor_part(key) for key in keys]
    patterns = (
        f"({NULL}|{part.pattern})" if key.nulls_last else f"({part.pattern})"
        for key, part in zip(keys, parts, strict=True)
    )
    found = re.fullmatch("[ab]" + "".join(patterns), cursor)
    if found is None:
        raise http_error(400, {"cursor": ["Not a cursor of this list."]})
    texts = zip(parts, found.groups(), strict=True)
    return [None if text == NULL else part.read(text) for part, text in texts]
