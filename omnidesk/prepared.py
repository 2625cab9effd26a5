"""Statements that are compiled once, and then run by the driver alone."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import cache
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Engine, Executable, Row, Select
from sqlalchemy.pool import Pool
from sqlalchemy.sql.dml import ReturningInsert

from omnidesk.db import alone, db


class Text(NamedTuple):
    """A statement as a driver takes it."""

    sql: str
    defaults: dict[str, Any]
    made: dict[str, Callable[[Any], Any]]
    processors: dict[str, Callable[[Any], Any]]
    order: Sequence[str] | None

    @classmethod
    def of(cls, statement: Executable, engine: Engine, names: Iterable[str] = ()) -> "Text":
        """Compile a select, or an insert of the columns with these names."""
        compiled: Any = statement.compile(engine, column_keys=[*names])  # type: ignore[attr-defined]
        parameters = {name: bind for bind, name in compiled.bind_names.items()}
        processors = {
            name: bind.type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
            for name, bind in parameters.items()
        }
        return cls(
            str(compiled),
            {name: bind.value for name, bind in parameters.items()},
            {column.key: column.default.arg for column in compiled.insert_prefetch},
            {name: process for name, process in processors.items() if process},
            compiled.positiontup,
        )

    def arguments(self, values: dict[str, Any]) -> Any:
        """Give the values in the driver's own forms, and in its order where it wants one."""
        values = self.defaults | values
        for name, make in self.made.items():
            values[name] = make(None)
        for name, process in self.processors.items():
            values[name] = process(values[name])
        return values if self.order is None else [values[name] for name in self.order]


class Reader(threading.local):
    """A connection of each thread's own on which nothing is ever begun: every read is the newest.

    To take one from the pool, and to ask first whether it still lives, costs more than most reads.
    """

    engine: Engine | None = None
    connection: Any = None
    expires = 0.0

    def __call__(self, engine: Engine) -> Any:
        """Give the driver's connection to the engine's database; a new one every ten minutes."""
        if self.engine is not engine or monotonic() > self.expires:
            self.close()
            lent = apart(engine).connect()
            self.connection = lent.driver_connection
            lent.detach()
            if engine.name == "postgresql":  # SQLite begins nothing unless it is told to
                self.connection.autocommit = True
                self.connection.execute(READING)
            self.engine, self.expires = engine, monotonic() + LIFETIME
        return self.connection

    def close(self) -> None:
        """Forget the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
        self.engine = self.connection = None


@cache
def apart(engine: Engine) -> Pool:
    """Give a source of connections beside the engine's own, where readers would meet writers."""
    return engine.pool.recreate()


def read(statement: Executable, **values: object) -> Sequence[Row[Any]]:
    """Give the rows of one statement that only reads, as they were committed last."""
    with alone(db.engine).connect() as connection:
        return connection.execute(statement, values).all()


LIFETIME = 600  # seconds: after a failover, a server that is no longer asked gets rid of us
# A list is read off the index that begins with what is asked for. PostgreSQL would plan it anew at
# each request, which costs more than to run it; and where a value is common, such as a status, it
# would walk all tickets from the newest, as if those of the status were spread among them.
READING = """
    SET plan_cache_mode = force_generic_plan;
    SET cpu_operator_cost = 1;  -- to look at a row and pass it over is dear
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET max_parallel_workers_per_gather = 0;
    SET jit = off;
"""
reader = Reader()


class Prepared:
    """A select of which nothing but the values of its parameters differs between two runs.

    Its rows are the driver's own: what a column's type would make of their values is left out.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self.statement = statement
        self.texts: dict[str, Text] = {}

    def __call__(self, **values: Any) -> Sequence[Any]:
        """Give the rows, as they were committed last."""
        engine = db.engine
        text = self.texts.get(engine.name)
        if text is None:
            text = self.texts[engine.name] = Text.of(self.statement, engine)
        try:
            rows: Sequence[Any] = (
                reader(engine).execute(text.sql, text.arguments(values)).fetchall()
            )
        except engine.dialect.loaded_dbapi.Error:
            # SQLAlchemy knows what each driver's errors mean: let it meet the same one.
            reader.close()
            return read(self.statement, **values)
        return rows


class Insert:
    """An insert that is a transaction by itself, of rows with the same columns."""

    def __init__(self, statement: ReturningInsert[*tuple[Any, ...]], names: Iterable[str]) -> None:
        self.statement = statement
        self.text = Text.of(statement, db.engine, names)

    def __call__(self, values: dict[str, Any]) -> Sequence[Any]:
        """Give what a new row with these values returns, once it is committed."""
        engine = db.engine
        if engine.name == "sqlite":
            try:
                with closing(engine.raw_connection()) as lent:
                    driver: Any = lent.driver_connection
                    (row,) = driver.execute(self.text.sql, self.text.arguments(values)).fetchall()
                    return row  # type: ignore[no-any-return]
            except engine.dialect.loaded_dbapi.Error:
                pass  # nothing was stored: let SQLAlchemy, who knows what it means, meet the same
        with alone(engine).connect() as connection:
            return connection.execute(self.statement, values).one()
