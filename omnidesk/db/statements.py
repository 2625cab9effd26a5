"""Selects that are compiled once for each database and run by its driver, in autocommit.

They read what was committed last, on connections from a pool of their own, and wait for no writer.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from flask import has_app_context
from sqlalchemy import ClauseElement, Engine, GenerativeSelect, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from omnidesk.db import sqlite
from omnidesk.db.postgresql import DISCONNECT_SQLSTATES
from omnidesk.db.session import READ, db
from omnidesk.db.usage import count_use, note_error

MAX_CONNECTION_AGE = 600  # seconds; after a failover, the old server is left in the end


class CompiledStatement(NamedTuple):
    """A statement as the driver takes it: its text, and how to convert each parameter's value."""

    sql: str
    constants: dict[str, Any]
    processors: dict[str, Callable[[Any], Any]]
    order: Sequence[str] | None  # of positional parameters

    @classmethod
    def new(
        cls, statement: ClauseElement, engine: Engine, names: Sequence[str] | None = None
    ) -> "CompiledStatement":
        """Compile a statement for an engine's database: an insert for columns of these names."""
        compiled: Any = statement.compile(engine, column_keys=names)
        parameters = {name: bind for bind, name in compiled.bind_names.items()}
        processors = {
            name: bind.type.dialect_impl(engine.dialect).bind_processor(engine.dialect)
            for name, bind in parameters.items()
        }
        return cls(
            str(compiled),
            {name: bind.effective_value for name, bind in parameters.items() if not bind.required},
            {name: process for name, process in processors.items() if process},
            compiled.positiontup,
        )

    def arguments(self, values: dict[str, Any]) -> Any:
        """Return the values in the driver's own types, in its order where it takes positions."""
        values = self.constants | values
        for name, process in self.processors.items():
            values[name] = process(values[name])
        return values if self.order is None else [values[name] for name in self.order]


class Statement:
    """A select that is run often, with other values for its parameters.

    The rows are the driver's own: no column type converts their values.
    """

    def __init__(self, select: GenerativeSelect) -> None:
        self.select = select
        self.compiled: dict[str, CompiledStatement] = {}

    def fetch(self, **values: Any) -> Sequence[Any]:
        """Return all rows for these values of the parameters.

        The statement is sent a second time only where its connection was lost, and not where it
        took too long. Raises SQLAlchemy's DBAPIError for every other error of the database.
        """
        engine = db.engines[READ]
        compiled = self.compiled.get(engine.name)
        if compiled is None:
            compiled = self.compiled[engine.name] = CompiledStatement.new(self.select, engine)
        arguments = compiled.arguments(values)
        try:
            return run(engine, compiled.sql, arguments)
        except DBAPIError as error:
            if not error.connection_invalidated or isinstance(error.orig, TimeoutError):
                raise
        return run(engine, compiled.sql, arguments)


def run(engine: Engine, sql: str, arguments: Any) -> Sequence[Any]:
    """Return the rows of a statement that only reads, run once by the driver."""
    pool, driver, lost = read_pool(engine), None, False
    try:
        driver, expires_at = pool.take()
        rows: Sequence[Any] = driver.execute(sql, arguments).fetchall()
    except engine.dialect.loaded_dbapi.Error as error:
        lost = driver is not None and is_lost(engine, error, driver)
        raise translate_error(engine, error, sql, lost=lost) from error
    finally:
        if driver is not None and lost:
            pool.drop(driver)
            drop_lost_connections(engine.name)
        elif driver is not None:
            pool.give_back(driver, expires_at)
    return rows


class ReadPool:
    """Driver connections in autocommit: as many as threads read at once, the last used first.

    A thread reads one statement at a time, so the server's threads bound them, and nobody waits.
    SQLAlchemy's pool, which also resets, counts and queues, costs a twelfth of a small request.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.idle: deque[tuple[Any, float]] = deque()
        self.files, self.check_files_at = sqlite.files_of(engine), 0.0

    def take(self) -> tuple[Any, float]:
        """Return an idle connection or a new one, and when it expires (monotonic seconds).

        Once a second, the files of SQLite are checked first: raises the driver's error.
        """
        now = monotonic()
        if self.files is not None and now >= self.check_files_at:
            self.files.check()
            self.check_files_at = now + 1
        while self.idle:
            try:
                driver, expires_at = self.idle.pop()
            except IndexError:  # another thread was faster
                break
            if now < expires_at:
                return driver, expires_at
            driver.close()
        connection = self.engine.raw_connection()
        driver = connection.driver_connection
        connection.detach()
        return driver, now + MAX_CONNECTION_AGE

    def give_back(self, driver: Any, expires_at: float) -> None:
        """Keep a connection for the next statement."""
        self.idle.append((driver, expires_at))

    def size(self) -> int:
        """Return how many connections are open."""
        return len(self.idle)

    def drop(self, driver: Any) -> None:
        """Close a connection that was lost, and the idle ones."""
        driver.close()
        self.clear()

    def clear(self) -> None:
        """Close the idle connections, those of the engine's own pool included."""
        self.engine.dispose()
        with suppress(IndexError):
            while True:
                self.idle.pop()[0].close()


class MeasuredReadPool(ReadPool):
    """A read pool that counts its statements, and for how long each has its connection."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.lent: dict[int, float] = {}

    def size(self) -> int:
        """Return how many connections are open."""
        return super().size() + len(self.lent)

    def take(self) -> tuple[Any, float]:
        """Return a connection, and when it expires."""
        started_at = perf_counter()
        driver, expires_at = super().take()
        self.lent[id(driver)] = started_at
        return driver, expires_at

    def give_back(self, driver: Any, expires_at: float) -> None:
        """Keep a connection for the next statement."""
        self.count(driver)
        super().give_back(driver, expires_at)

    def drop(self, driver: Any) -> None:
        """Close a connection that was lost, and the idle ones."""
        self.count(driver)
        super().drop(driver)

    def count(self, driver: Any) -> None:
        """Count the statement that a connection was taken for."""
        count_use(READ, 1, perf_counter() - self.lent.pop(id(driver)))


@cache
def read_pool(engine: Engine) -> ReadPool:
    """Return the connections of an engine for reading."""
    is_measured = "measured" in engine.get_execution_options()
    return MeasuredReadPool(engine) if is_measured else ReadPool(engine)


def drop_idle_connections() -> None:
    """Close what is idle, for reading and for writing."""
    for engine in db.engines.values():
        read_pool(engine).clear()


def drop_lost_connections(database: str) -> None:
    """Close what is idle where a server was lost, since it was probably lost, too.

    A connection to SQLite is lost alone: others go on reading where one cannot write.
    """
    if database == "postgresql":
        drop_idle_connections()


@event.listens_for(Engine, "handle_error")
def notice_disconnect(context: ExceptionContext) -> None:
    """Drop all that was lost with a connection of SQLAlchemy's."""
    note_error(context.original_exception, lost=context.is_disconnect)
    if context.is_disconnect and has_app_context():
        drop_lost_connections(context.dialect.name)


def is_lost(engine: Engine, error: Any, connection: Any) -> bool:
    """Return whether an error means that its connection can no longer be used."""
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate in DISCONNECT_SQLSTATES or sqlite.is_lost(error):
        return True
    return bool(engine.dialect.is_disconnect(error, connection, None))


def translate_error(engine: Engine, error: Any, sql: str, *, lost: bool) -> BaseException:
    """Return a driver's error as SQLAlchemy raises it."""
    note_error(error, lost=lost)
    translated: BaseException = DBAPIError.instance(
        sql,
        None,
        error,
        engine.dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=engine.dialect,
    )
    return translated
