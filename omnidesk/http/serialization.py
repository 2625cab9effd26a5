"""Rows as JSON: written by the database where it can, else by marshmallow, in the same bytes."""

from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from functools import cache, lru_cache
from typing import Any

import orjson
from marshmallow import fields as ma_fields
from marshmallow.decorators import POST_DUMP, PRE_DUMP
from sqlalchemy import ColumnElement, Label, Text, case, cast, func, insert, literal
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm.relationships import RelationshipProperty

from omnidesk.db import Base, db, json_sql
from omnidesk.db.inserts import InsertStatement, new_values
from omnidesk.db.session import in_transaction, logged_operation
from omnidesk.http import fields
from omnidesk.http.schemas import Schema


def unchanged(column: Any) -> Any:
    """Return the column: the database holds what JSON shows."""
    return column


# How the database writes a field's column. A field of any other type, a subclass of these
# included, may show anything: marshmallow writes its rows.
JSON_SQL: dict[type, Callable[[Any], Any]] = {
    fields.EnumField: unchanged,
    fields.CountField: unchanged,
    fields.EmailField: unchanged,
    fields.BooleanField: json_sql.JsonBoolean,
    fields.IdField: unchanged,
    fields.JsonField: json_sql.JsonText,
    fields.TextField: unchanged,
    fields.TimeField: json_sql.JsonTime,
}


def json_object(schema: type[Schema], entity: type[Base]) -> ColumnElement[Any] | None:
    """Return the SQL of an entity's row as the schema shows it; None where SQL cannot write it."""
    columns = json_columns(schema, entity)
    return None if columns is None else json_sql.JsonObject(*columns)


@cache
def json_columns(schema: type[Schema], entity: type[Base]) -> list[Label[Any]] | None:
    """Return the SQL of each field of a schema, under its key; None where one has no SQL."""
    instance, columns = schema(), []
    if instance._hooks[PRE_DUMP] or instance._hooks[POST_DUMP]:
        return None
    for name, field in instance.dump_fields.items():
        attribute = getattr(entity, field.attribute or name, None)
        column = field_sql(field, attribute)
        if column is None:
            return None
        columns.append(column.label(field.data_key or name))
    return columns


def field_sql(field: ma_fields.Field[Any], attribute: Any) -> ColumnElement[Any] | None:
    """Return the SQL of a field that shows an attribute of an entity; None where it has none."""
    if isinstance(field, fields.EtagField):
        before, after = field._serialize("|").split("|")
        shown: ColumnElement[str] = literal(before) + attribute + literal(after)
        return shown
    if isinstance(field, fields.PartField):
        return part_of_row(field, attribute)
    if not isinstance(attribute, InstrumentedAttribute):
        return None
    if isinstance(attribute.property, RelationshipProperty):
        return related_row(field, attribute.property.mapper.class_)
    write = JSON_SQL.get(type(field))
    return None if write is None else write(attribute)


def related_row(field: ma_fields.Field[Any], entity: type[Base]) -> ColumnElement[Any] | None:
    """Return the SQL of a nested row, null where the outer join of the select found none."""
    if type(field) is not ma_fields.Nested:
        return None
    nested: Any = type(field.schema)
    shown = json_object(nested, entity)
    return (
        None
        if shown is None
        else case((entity.primary_key().is_(None), literal(None)), else_=shown)
    )


def part_of_row(field: fields.PartField, attribute: Any) -> ColumnElement[Any] | None:
    """Return the SQL of several columns as one object, null where the first, a text, is null.

    SQLite 3.40 takes no column of a row that it returns from an insert for null, but a function.
    """
    names = (each.name for each in dataclass_fields(attribute.property.composite_class))
    parts = [each.class_attribute for each in attribute.property.props]
    columns = dict(zip(names, parts, strict=True))
    shown = []
    for name, part in field.schema.dump_fields.items():
        write = JSON_SQL.get(type(part))
        if write is None:
            return None
        shown.append(write(columns[name]).label(name))
    return case(
        (func.nullif(parts[0], "").is_(None), literal(None)), else_=json_sql.JsonObject(*shown)
    )


def nests(schema: type[Schema]) -> bool:
    """Return whether a schema shows related rows, whose changes a row's own ETag does not tell."""
    return any(
        isinstance(field, ma_fields.Nested) and not isinstance(field, fields.PartField)
        for field in schema().dump_fields.values()
    )


def dump(row: Base, schema: type[Schema]) -> str:
    """Return a row as JSON, written by marshmallow."""
    return orjson.dumps(writer(schema).dump(row)).decode()


@cache
def writer(schema: type[Schema]) -> Schema:
    """Return an instance of a schema, which takes longer to make than to use."""
    return schema()


def insert_row(row: Base, schema: type[Schema]) -> tuple[str, str | None]:
    """Insert a new row; return its JSON and its ETag, if any.

    It is committed, unless the request has begun a transaction, or logs it in another way.
    """
    values = new_values(row)
    statement = insert_statement(type(row), schema, tuple(values))
    if statement is None or has_listeners(type(row)):
        db.session.add(row)
        db.session.flush()
        return dump(row, schema), getattr(row, "etag", None)
    if in_transaction() or logged_operation.get():
        found: Any = db.session.connection().execute(statement.insert, values).one()
    else:
        found = statement.run(values)
    row_id, shown, etag, *_ = found
    setattr(row, row.primary_key().name, row_id)
    return shown, etag


def has_listeners(entity: type[Base]) -> bool:
    """Return whether an event listener waits for new rows: only the session calls it."""
    events = entity.__mapper__.dispatch
    return bool(events.before_insert or events.after_insert)


@lru_cache
def insert_statement(
    entity: type[Base], schema: type[Schema], names: tuple[str, ...]
) -> InsertStatement | None:
    """Return the insert of columns that returns a row's id, JSON and ETag.

    None as for `json_object`.
    """
    shown = json_object(schema, entity)
    if shown is None:
        return None
    etag = getattr(entity, "etag", literal(None))
    returned = entity.primary_key(), cast(shown, Text), etag
    return InsertStatement(insert(entity.__table__).returning(*returned), names)
