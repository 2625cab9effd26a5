"""Selects that are compiled once, and then run by the driver alone."""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select
from sqlalchemy.pool import Pool

from omnidesk.db import db, read


class Text(NamedTuple):
    """A select as a driver takes it."""

    sql: str
    defaults: dict[str, Any]
    processors: dict[str, Callable[[Any], Any]]
    order: Sequence[str] | None

    @classmethod
    def of(cls, statement: Select[*tuple[Any, ...]], engine: Engine) -> "Text":
        """Compile a select."""
        compiled: Any = statement.compile(engine)
        parameters = {name: bind for bind, name in compiled.bind_names.items()}
        processors = {
            name: bind.type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
            for name, bind in parameters.items()
        }
        return cls(
            str(compiled),
            {name: bind.value for name, bind in parameters.items()},
            {name: process for name, process in processors.items() if process},
            compiled.positiontup,
        )

    def arguments(self, values: dict[str, Any]) -> Any:
        """Give the values in the driver's own forms, and in its order where it wants one."""
        values = self.defaults | values
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


LIFETIME = 600  # seconds: after a failover, a server that is no longer asked gets rid of us
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
