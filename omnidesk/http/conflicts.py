"""A 409 that shows the rows that are in the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import marshmallow as ma
from flask import g
from sqlalchemy.exc import IntegrityError

from omnidesk.db import Base, RuleViolation
from omnidesk.db.constraints import taken_by_others
from omnidesk.http.error_schemas import ErrorSchema
from omnidesk.http.errors import http_error
from omnidesk.http.schemas import Schema


@contextmanager
def conflicts_shown(schema: type[Schema]) -> Iterator[None]:
    """Show the rows that are in the way of a new one, if its 409 has any, to who may read them."""
    try:
        yield
    except RuleViolation as violation:
        if not violation.current or "write_only" in g:
            raise
        error = http_error(violation.status, violation.errors)
        error.current = schema(many=True).dump(violation.current)  # type: ignore[attr-defined]
        raise error from None


@contextmanager
def taken_shown(schema: type[Schema], row: Base) -> Iterator[None]:
    """Show the rows that have what only one may have, where a row breaks an index that is shown."""
    with conflicts_shown(schema):
        try:
            yield
        except IntegrityError as error:
            if violation := taken_by_others(error, row):
                raise violation from None
            raise


@cache
def conflict(schema: type[Schema]) -> type[ma.Schema]:
    """Return the schema of a 409 that shows the rows in the way to those who may read them."""
    current = ma.fields.Nested(
        schema(many=True), metadata={"description": "The rows in the way, for those who may read"}
    )
    name = f"{schema.__name__.removesuffix('Schema')}Conflict"
    return ErrorSchema.from_dict({"current": current}, name=name)
