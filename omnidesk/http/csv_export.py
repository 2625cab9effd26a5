"""Lists as CSV (RFC 4180): a page is read in parts, and each is sent before the next is read."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from errno import EPIPE
from functools import cache, lru_cache
from io import StringIO
from itertools import chain
from typing import Any

import marshmallow as ma
import orjson
from flask import Response, current_app, request, stream_with_context
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from omnidesk.db.request_deadline import within_deadline
from omnidesk.db.visible import INVISIBLE, INVISIBLE_BEYOND
from omnidesk.http.errors import log_database_error
from omnidesk.http.pagination import Links, Page, PageRows
from omnidesk.http.queries import PreparedSelect
from omnidesk.http.related import with_related
from omnidesk.http.schemas import MAX_LIMIT, Schema

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
# What our media type says of itself: a client that asks for it asks for no other.
PARAMETERS = re.compile(r'(?i);[ \t]*(charset="?utf-8"?|header="?present"?)[ \t]*(?=[;,]|$)')
MAX_PART = MAX_LIMIT  # rows that are in memory: no more than of a page as JSON

# What a spreadsheet may take for a formula: a text that begins with = + - @, in full width too, or
# with a tab or a line break. It may ignore white space, invisible marks and quotes before these.
# An apostrophe gets another one, so that a reader can remove one from any cell that begins with it.
FORMULA = re.compile(rf"['\t\r\n]|[{INVISIBLE}{INVISIBLE_BEYOND}\"]*[=+@\uff1d\uff0b\uff0d\uff20-]")


@lru_cache
def prefers_csv(accept: str) -> bool:
    """Return whether an Accept header prefers CSV to JSON (RFC 9110, section 12.5.1)."""
    accepted = parse_accept_header(PARAMETERS.sub("", accept), MIMEAccept)
    return accepted.quality("text/csv") > accepted.quality("application/json")


@cache
def columns(schema: type[Schema]) -> list[tuple[str, ...]]:
    """Return for each column the keys that lead to its value in a row, as JSON has it."""
    found: list[tuple[str, ...]] = []
    for name, field in schema().dump_fields.items():
        key = field.data_key or name
        if isinstance(field, ma.fields.Nested):
            nested: Any = type(field.schema)
            found += [(key, *path) for path in columns(nested)]
        else:
            found.append((key,))
    return found


def header_line(schema: type[Schema]) -> str:
    """Return the line with the names of the columns."""
    return csv_lines([[".".join(path) for path in columns(schema)]])


def csv_example(schema: type[Schema]) -> str:
    """Return a file with an example of what a schema writes."""
    return header_line(schema) + row_lines([orjson.dumps(schema.example()).decode()], schema)


def row_lines(rows: Iterable[str], schema: type[Schema]) -> str:
    """Return the lines of rows that are JSON objects."""
    paths = columns(schema)
    return csv_lines([cell(row, path) for path in paths] for row in map(orjson.loads, rows))


def csv_lines(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as CSV."""
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def cell(value: Any, path: tuple[str, ...]) -> str:
    """Return the cell of the value that keys lead to in a row; it is empty for null."""
    for key in path:
        value = value and value.get(key)
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    if isinstance(value, str):
        return f"'{value}" if FORMULA.match(value) else value
    return orjson.dumps(value).decode()


def first_part(select: PreparedSelect, page: Page) -> Page:
    """Return the part of a page that is read before the response begins.

    Of a scan it is the whole page, which may be short: only its own link leads on.
    """
    return page if page.limit <= MAX_PART or select.is_scan else page._replace(limit=MAX_PART)


def next_part(part: Page, rows: PageRows) -> Page | None:
    """Return the part that comes after the one with these rows, or None."""
    following = None if part.backwards else rows.neighbours(part).get("next")
    return following and Page(MAX_PART, cursor=str(following[1]))


def csv_page(
    select: PreparedSelect, schema: type[Schema], page: Page, rows: PageRows
) -> tuple[Response, Links]:
    """Return a page as a file, and the link to the next one; `rows` are those of its first part.

    The other parts are read while the file is sent. If that fails, the transfer breaks off: it is
    chunked, and lacks its last chunk.
    """
    last, links = end_of(select, schema, page, rows)
    name = request.path.rpartition("/")[2]
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Disposition": f'attachment; filename="{name}.csv"',
    }
    shown = with_related(schema, select.source.include)
    texts = (row_lines(part, shown) for part in parts(select, schema, page, rows, last))
    text = stream_with_context(chain([header_line(shown)], texts))
    return current_app.response_class(text, headers=headers), links


def end_of(
    select: PreparedSelect, schema: type[Schema], page: Page, rows: PageRows
) -> tuple[str | None, Links]:
    """Return the position of a page's last row, and the link to the next page.

    `rows` are those of the first part. The position is None where the page has no other part, or
    where the list ends within it.
    """
    part, last = first_part(select, page), None
    missing, rest = page.limit - len(part.cut(rows.rows)), next_part(part, rows)
    if missing and rest and not select.is_scan:
        part = rest._replace(limit=1, offset=missing - 1)
        rows = select.page(schema, part)
        last = next(iter(part.cut(rows.positions)), None)
    links = rows.neighbours(part)
    return last, {rel: found for rel, found in links.items() if rel == "next"}


def parts(
    select: PreparedSelect, schema: type[Schema], page: Page, rows: PageRows, last: str | None
) -> Iterator[list[str]]:
    """Yield the rows of each part of a page, up to the row at the position `last`.

    The link to the next file is already sent, and begins after this row. So rows that were stored
    meanwhile are added to the page, and push no other row out. If the row at `last` was deleted or
    moved, the page ends at most a part later.
    """
    left = page.limit if last is None else page.limit + MAX_PART
    part = first_part(select, page)
    while True:
        shown, positions = part.cut(rows.rows)[:left], part.cut(rows.positions)
        if last in positions:
            yield shown[: positions.index(last) + 1]
            return
        yield shown
        left -= len(shown)
        following = next_part(part, rows)
        if not left or following is None or select.is_scan:
            return
        part = following
        rows = read_or_break_off(select, schema, part)


def read_or_break_off(select: PreparedSelect, schema: type[Schema], part: Page) -> PageRows:
    """Return the rows of a part; if the database fails, log why, and raise BrokenPipeError.

    A WSGI server closes the connection then, as if the client had, and logs no traceback.
    """
    try:
        with within_deadline():
            return select.page(schema, part)
    except (DBAPIError, PoolTimeoutError) as error:
        log_database_error(error)
        raise BrokenPipeError(EPIPE, "The file is not whole") from None
