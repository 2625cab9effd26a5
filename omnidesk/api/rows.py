"""Rows as JSON: written by the database where it can, else by marshmallow, in the same bytes."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
from marshmallow.decorators import POST_DUMP, PRE_DUMP
from sqlalchemy import Select, insert, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from omnidesk import sql
from omnidesk.api import fields
from omnidesk.api.schemas import Schema
from omnidesk.db import ACTING, Base, alone, begun, db
from omnidesk.prepared import Insert


def as_it_is(column: Any) -> Any:
    """Give the column: the database holds what JSON shows."""
    return column


# Fields that show a column as the database can write it. A field of any other type, one that
# inherits from these included, is left to marshmallow.
FORMS: dict[type, Callable[[Any], Any]] = {
    fields.Choice: as_it_is,
    fields.Count: as_it_is,
    fields.Flag: sql.Flag,
    fields.Id: as_it_is,
    fields.Json: sql.Json,
    fields.Text: as_it_is,
    fields.Time: sql.Zulu,
}


class Found(NamedTuple):
    """Rows as JSON, and the keys they are ordered by as JSON."""

    shown: list[str]
    keys: list[str]
    last: str | None = None  # what changes with any such row, where it is known

    @classmethod
    def in_lines(cls, written: Sequence[Any]) -> "Found":
        """Give what the database wrote in one row: a line for each of ours, or nothing."""
        ((shown, keys, *last),) = written
        return cls(shown.split("\n") if shown else [], keys.split("\n") if keys else [], *last)


@cache
def columns(entity: type[Base], kind: type[Schema]) -> list[Any] | None:
    """Give the columns that a schema shows of an entity; None where it shows anything else."""
    schema, chosen = kind(), []
    if schema._hooks[PRE_DUMP] or schema._hooks[POST_DUMP]:
        return None
    for name, field in schema.dump_fields.items():
        column = getattr(entity, field.attribute or name, None)
        form = FORMS.get(type(field))
        if form is None or not isinstance(column, InstrumentedAttribute):
            return None
        chosen.append(form(column).label(field.data_key or name))
    return chosen


def written(rows: Select[Any], keys: list[Any], schema: type[Schema]) -> Select[str, str] | None:
    """Select the rows of one entity as one row of two texts, with a line of JSON for each row.

    None where the schema shows what the database cannot write. To fetch the rows one by one would
    hand the interpreter from thread to thread as often: under load that costs more than all else.
    """
    (entity,) = rows.column_descriptions
    chosen = columns(entity["entity"], schema)
    if chosen is None:
        return None
    shown, key = sql.Object(*chosen).label("shown"), sql.Array(*keys).label("key")
    lines = rows.with_only_columns(shown, key).subquery()
    return select(sql.Lines(lines.c.shown), sql.Lines(lines.c.key))


def dumped(
    rows: Select[Any], keys: list[Any], schema: type[Schema], values: dict[str, Any]
) -> Found:
    """Give the rows of one entity by way of marshmallow, which can show anything."""
    with Session(alone(db.engine)) as session:
        found = session.execute(rows.add_columns(*keys), values).all()
        shown = schema(many=True).dump([row[0] for row in found])
    return Found(
        [orjson.dumps(row).decode() for row in shown],
        [orjson.dumps(list(row[1:])).decode() for row in found],
    )


def dump(row: Base, schema: type[Schema]) -> str:
    """Give a row as JSON by way of marshmallow."""
    return orjson.dumps(schema().dump(row)).decode()


@cache
def inserted(
    entity: type[Base], schema: type[Schema], names: frozenset[str], database: str
) -> Insert | None:
    """Insert a row of an entity, giving its number and itself as JSON; None as for `written`."""
    chosen = columns(entity, schema)
    if chosen is None:
        return None
    table = entity.__table__
    # Whatever is returned is known before the triggers run that log the change.
    more = [ACTING] if database == "postgresql" else []
    returning = insert(table).returning(*table.primary_key, sql.Object(*chosen), *more)
    return Insert(returning, names)


def store(row: Base, schema: type[Schema]) -> str:
    """Store a new row and give it as JSON; the row then has its number.

    In a transaction that has begun it waits for the commit; else it is committed at once.
    """
    values = {name: value for name, value in vars(row).items() if name in row.__table__.columns}
    run = inserted(type(row), schema, frozenset(values), db.engine.name)
    if run is None:
        db.session.add(row)
        db.session.flush()
        return dump(row, schema)
    # One statement is a transaction by itself: nothing to begin, nothing to commit.
    stored = db.session.execute(run.statement, values).one() if begun() else run(values)
    (key,) = row.__table__.primary_key
    setattr(row, key.name, stored[0])
    return str(stored[1])
