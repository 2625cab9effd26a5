"""Rows to JSON without detours: the very columns that a schema shows, in the form it shows them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from marshmallow.decorators import POST_DUMP, PRE_DUMP
from sqlalchemy import Select, String, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session

from omnidesk.api import fields
from omnidesk.api.schemas import Schema
from omnidesk.db import Base, Zulu, db, read, reader


def as_it_is(column: Any) -> Any:
    """Give the column: the database holds what JSON shows."""
    return column


def as_text(column: Any) -> Any:
    """Give the column without checking again what its constraint holds it to."""
    return type_coerce(column, String)


# Fields that show a column as the database can give it. A field of any other type, one that
# inherits from these included, is left to marshmallow.
FORMS: dict[type, Callable[[Any], Any]] = {
    fields.Choice: as_text,
    fields.Flag: as_it_is,
    fields.Id: as_it_is,
    fields.Text: as_it_is,
    fields.Time: Zulu,
}


class Found(NamedTuple):
    """Rows as JSON shows them, and as the database gave them."""

    shown: list[dict[str, Any]]
    rows: Sequence[Any]


@cache
def columns(entity: type[Base], kind: type[Schema]) -> dict[str, Any] | None:
    """Give the columns that a schema shows of an entity; None where it shows anything else."""
    schema, chosen = kind(), {}
    if schema._hooks[PRE_DUMP] or schema._hooks[POST_DUMP]:
        return None
    for name, field in schema.dump_fields.items():
        column = getattr(entity, field.attribute or name, None)
        form = FORMS.get(type(field))
        if form is None or not isinstance(column, InstrumentedAttribute):
            return None
        key = field.data_key or name
        chosen[key] = form(column).label(key)
    return chosen


def find(rows: Select[Any], schema: type[Schema], *more: Any) -> Found:
    """Run a select of one entity, which may have more columns, and show what it finds."""
    (entity, *others) = rows.column_descriptions
    chosen = columns(entity["entity"], schema)
    if chosen is None:
        with Session(reader(db.engine)) as session:
            found = session.execute(rows.add_columns(*more)).all()
            return Found(schema(many=True).dump([row[0] for row in found]), found)
    added = (other["expr"] for other in others)
    found = read(rows.with_only_columns(*chosen.values(), *added, *more))
    return Found([dict(zip(chosen, row, strict=False)) for row in found], found)
