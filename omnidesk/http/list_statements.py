"""The statements behind lists and single rows, each built once and kept."""

from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import CTE, ColumnElement, Select, Subquery, Text, cast, func, literal, null, select

from omnidesk.db import Base, json_sql
from omnidesk.db.change_log import Change
from omnidesk.db.statements import Statement
from omnidesk.http.pagination import PageShape, merged_page, page_select
from omnidesk.http.related import with_related
from omnidesk.http.scans import Way, scanned_page
from omnidesk.http.schemas import Schema
from omnidesk.http.serialization import json_object, nests
from omnidesk.http.sorting import SortKey, cursor_keys, sort_keys
from omnidesk.http.sources import Source, entity_of, found_by

MAX_STATEMENTS = 1024  # that are kept of each kind; each is a few kilobytes


class PageStatement(NamedTuple):
    """How all requests for pages of one shape are answered."""

    select: Select[Any]
    keys: list[SortKey]
    statement: Statement | None  # None where marshmallow must write the rows
    last: Statement | None


@lru_cache(maxsize=MAX_STATEMENTS)
def source_keys(source: Source) -> list[SortKey]:
    """Return the sort keys that the cursors of a list hold."""
    return cursor_keys(sort_keys(source.select()))


@lru_cache(maxsize=MAX_STATEMENTS)
def is_scan(source: Source) -> bool:
    """Return whether the rows must be looked at one by one."""
    return source.scan() is not None


@lru_cache(maxsize=MAX_STATEMENTS)
def row_statement(source: Source, schema: type[Schema]) -> Statement | None:
    """Return the statement of a single row's JSON and ETag; None where SQL cannot write it."""
    rows = source.select()
    entity = entity_of(rows)
    shown = json_object(schema, entity)
    if shown is None:
        return None
    etag = literal(None) if nests(schema) else getattr(entity, "etag", literal(None))
    return Statement(rows.with_only_columns(cast(shown, Text), etag))


@lru_cache(maxsize=MAX_STATEMENTS)
def page_statement(
    source: Source, schema: type[Schema], shape: PageShape, way: Way | None
) -> PageStatement:
    """Return the statement of a page: one row with the JSON of all its rows, a line for each.

    To fetch row by row, the driver would release the interpreter's lock for each: under load that
    costs more than all the rest. After the rows come their positions, what names the last change,
    and of a scan whether it left no row out, and the position of the last that it looked at.
    """
    rows = source.select()
    entity, keys = entity_of(rows), sort_keys(rows)
    rows, keys = page_select(rows, keys, shape), cursor_keys(keys)
    shown = json_object(with_related(schema, source.include), entity)
    if shown is None:
        return PageStatement(rows, keys, None, None)
    relationships = source.relationships(entity)
    shown_with = {related.property.mapper.class_ for related in relationships}
    others = sorted((found_by(rows) | shown_with) - {entity}, key=str)
    # A feed that is filtered by entities has another ETag when one of these changes.
    only = source.filters.items("entity") if entity is Change else []
    last = None if nests(schema) else Change.last(entity, *others, only=only)
    parts = source.parts()
    is_complete: Any = null()
    ended_at: Any = null()
    if way is not None and (scan := source.scan()):
        page, is_complete, ended_at = scanned_page(scan, parts, shape, way)
        found = merged_rows(page, len(keys), shown, entity, relationships)
    elif len(parts) > 1:
        found = merged_rows(merged_page(parts, shape), len(keys), shown, entity, relationships)
    else:
        position = json_sql.JsonArray(*(key.column for key in keys))
        found = rows.with_only_columns(shown.label("shown"), position.label("position")).subquery()
    joined = select(
        json_sql.JsonLines(found.c.shown),
        json_sql.JsonLines(found.c.position),
        null() if last is None else last.scalar_subquery(),
        is_complete,
        ended_at,
    )
    return PageStatement(rows, keys, Statement(joined), None if last is None else Statement(last))


def merged_rows(
    page: CTE, held: int, shown: ColumnElement[Any], entity: type[Base], relationships: list[Any]
) -> Subquery:
    """Return the rows of a page as JSON, each found by its id, the last of the page's sort keys.

    So many of these, the last ones, are held by cursors.
    """
    *_, row_id = page.c
    row = select(shown).select_from(entity).where(entity.primary_key() == row_id)
    for relationship in relationships:
        row = row.outerjoin(relationship)
    position = json_sql.JsonArray(*[*page.c][-held:])
    row_json = row.correlate(page).scalar_subquery()
    return select(row_json.label("shown"), position.label("position")).subquery()


@lru_cache(maxsize=MAX_STATEMENTS)
def count_statement(source: Source) -> Statement:
    """Return the statement that counts the rows."""
    return Statement(select(func.count()).select_from(source.select().order_by(None).subquery()))
