"""Inserts past the session: of a row that is all a request writes, and of very many rows.

The first is compiled once and run by the driver. For such a row, `db.session` would do nothing but
begin and commit its transaction. On PostgreSQL the insert is a transaction by itself, which takes
one round trip instead of three.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Engine, func, insert, literal_column, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningInsert

from omnidesk.db.base import Base
from omnidesk.db.numbers import last_number
from omnidesk.db.postgresql import SET_ACTOR
from omnidesk.db.session import acting_user, db
from omnidesk.db.sqlite import driver_transaction, lacks_table
from omnidesk.db.sqlite_constraints import note_constraint
from omnidesk.db.statements import (
    CompiledStatement,
    drop_lost_connections,
    is_lost,
    translate_error,
)


class InsertStatement:
    """An insert of one row that is run often, with other values for the columns of these names."""

    def __init__(self, insert: ReturningInsert[Any], names: Sequence[str]) -> None:
        self.insert, self.names = insert, names
        self.compiled: dict[str, CompiledStatement] = {}

    def run(self, values: dict[str, Any]) -> Sequence[Any]:
        """Insert a row and commit it; return what the statement returns, as the driver has it.

        It is sent a second time only where SQLite's connection did not know the table, and so has
        done nothing. Raises SQLAlchemy's errors.
        """
        try:
            return self.send(values)
        except DBAPIError as error:
            if not lacks_table(error.orig):
                raise
        return self.send(values)

    def send(self, values: dict[str, Any]) -> Sequence[Any]:
        """Insert a row, as `run` does, once."""
        engine = db.engine
        compiled = self.compiled.get(engine.name) or self.compile(engine)
        arguments = compiled.arguments(values | {"actor": acting_user()})
        connection = None
        try:
            connection = engine.raw_connection()
            return execute(engine, connection.driver_connection, compiled.sql, arguments)
        except engine.dialect.loaded_dbapi.Error as error:
            raise self.failure(engine, connection, values, error) from error
        finally:
            if connection is not None:
                connection.close()  # which rolls back what was not committed

    def compile(self, engine: Engine) -> CompiledStatement:
        """Return the statement as an engine's database takes it, and keep it."""
        is_postgresql = engine.name == "postgresql"
        statement = self.insert.returning(SET_ACTOR) if is_postgresql else self.insert
        compiled = CompiledStatement.new(statement, engine, self.names)
        return self.compiled.setdefault(engine.name, compiled)

    def failure(
        self, engine: Engine, connection: Any, values: dict[str, Any], error: Any
    ) -> BaseException:
        """Return a driver's error as SQLAlchemy raises it; drop the connection if it was lost."""
        driver = connection and connection.driver_connection
        if isinstance(error, sqlite3.IntegrityError):
            note_constraint(error, self.insert, [values], driver)
        lost = driver is not None and is_lost(engine, error, driver)
        if lost:
            connection.invalidate(error)
            drop_lost_connections(engine.name)
        return translate_error(engine, error, self.compiled[engine.name].sql, lost=lost)


def execute(engine: Engine, driver: Any, sql: str, arguments: Any) -> Sequence[Any]:
    """Return the only row that a statement returns, once it is committed."""
    with driver_transaction(driver) if engine.name == "sqlite" else nullcontext():
        (row,) = driver.execute(sql, arguments).fetchall()
    # PostgreSQL is asked only where psycopg has begun a transaction: SQLAlchemy takes a connection
    # out of autocommit when it was used with the isolation level AUTOCOMMIT.
    driver.commit()
    return row  # type: ignore[no-any-return]


class NewValues(dict[str, Any]):
    """The values of a new row by column; a column's default gets them as its context."""

    def get_current_parameters(self) -> dict[str, Any]:
        """Return the values."""
        return self


def new_values(row: Base) -> dict[str, Any]:
    """Return the values of a new row by column, with those that are made by default."""
    given, columns = vars(row), columns_of(type(row))
    values = NewValues((name, given[name]) for name in columns if name in given)
    for name, default in columns.items():
        if default is not None and name not in given:
            values[name] = default(values)
    return values


@cache
def columns_of(entity: type[Base]) -> dict[str, Callable[[NewValues], Any] | None]:
    """Return the columns of an entity by name, each with what makes its default, if anything."""
    defaults: dict[str, Any] = {column.name: column.default for column in entity.__table__.columns}
    return {name: default and default.arg for name, default in defaults.items()}


def insert_or_conflict(table: Any, database: str) -> Any:
    """Return an insert into a table as a database has it, which may say what to do ON CONFLICT."""
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[database](table)


def insert_all(rows: Sequence[Base]) -> list[int]:
    """Insert new rows of one entity in the session's transaction; return their ids.

    SQLAlchemy's session would insert one after the other on SQLite, to learn its id.
    """
    if not rows:
        return []
    entity = type(rows[0])
    key = entity.primary_key()
    ids = next_ids(entity, len(rows))
    insert_values(
        entity, [new_values(row) | {key.name: n} for row, n in zip(rows, ids, strict=True)]
    )
    return ids


def insert_values(entity: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, given by their columns, in the session's transaction.

    All have the columns of the first: what another has besides would not be stored. PostgreSQL gets
    them as one JSON value: thousands of parameters take longer to write and to read than the rows
    to insert.
    """
    if db.engine.name != "postgresql":
        db.session.execute(insert(entity.__table__), rows)
        return
    table, names = entity.__tablename__, ", ".join(rows[0])
    given = f"SELECT {names} FROM json_populate_recordset(NULL::{table}, :rows)"  # noqa: S608
    statement = text(f"INSERT INTO {table} ({names}) {given}")
    db.session.execute(statement, {"rows": orjson.dumps(rows).decode()})


def next_ids(entity: type[Base], count: int) -> list[int]:
    """Return as many ids that no row of an entity has or gets."""
    table, key = entity.__tablename__, entity.primary_key().name
    if db.engine.name == "postgresql":
        number = func.nextval(literal_column(f"pg_get_serial_sequence('{table}', '{key}')"))
        return [*db.session.scalars(select(number).select_from(func.generate_series(1, count)))]
    first = last_number(db.session.connection(), entity.metadata.tables[table]) + 1
    return [*range(first, first + count)]
