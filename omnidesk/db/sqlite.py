"""SQLite: durable, checking references, without lost updates, and waiting for no more than a time.

A request waits for the write lock for a few seconds in all: first in its own process, for the one
connection that writes, then for other processes.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil
from time import monotonic
from typing import Any

from flask import g, has_app_context
from sqlalchemy import Connection, Engine, PoolProxiedConnection, QueuePool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from omnidesk.db.session import acting_user, logged_operation
from omnidesk.db.sqlite_files import CountedConnection, DatabaseFiles, files_at, primary_code

PRAGMAS = (
    "busy_timeout=5000",  # milliseconds
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "secure_delete=ON",  # what is deleted or changed leaves nothing in the file
)
MAX_WAIT = 4.5  # seconds that a request waits for the write lock; it is answered within 5.5
STEP = 0.25  # seconds that a thread waits for the connection before it looks at the time
LOOKS = 5  # milliseconds in which SQLite looks for the write lock three times
MAX_COMMAND_WAIT = 60.0  # seconds that a command waits for it, each time
# After these a connection is of no use, even when the file is mended: it was opened read-only, say.
DISCONNECT_CODES = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
longest_wait: ContextVar[float] = ContextVar("longest_wait", default=MAX_COMMAND_WAIT)


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Let nothing inside wait longer than this for the write lock."""
    token = longest_wait.set(seconds)
    try:
        yield
    finally:
        longest_wait.reset(token)


def time_left() -> float:
    """Return for how many seconds the write lock may be waited for now."""
    longest, now = longest_wait.get(), monotonic()
    deadline = g.get("write_deadline") if has_app_context() else None
    if deadline is None:
        if not has_app_context() or "user" not in g:  # it is no request, but a command
            return longest
        deadline = g.write_deadline = now + MAX_WAIT
    return max(0.0, min(longest, deadline - now))


class WritePool(QueuePool):
    """The one connection that writes: threads queue for it as long as they may wait.

    The pool's own timeout is the same for all, so it is a short one, and repeated.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        # Set here, since create_engine() would round it down to 0, and threads would not sleep.
        super().__init__(creator, **options | {"timeout": STEP})

    def connect(self) -> PoolProxiedConnection:
        """Return the connection; raise TimeoutError."""
        gives_up_at = monotonic() + time_left()
        while True:
            try:
                return super().connect()
            except PoolTimeoutError:
                if monotonic() >= gives_up_at:
                    raise PoolTimeoutError("other requests are waiting to write") from None


@event.listens_for(Engine, "do_connect")
def open_existing(dialect: Any, record: Any, arguments: list[Any], options: Any) -> None:
    """Open the file that is there, and never create one."""
    if dialect.name == "sqlite":
        record.info["files"] = files = files_at(arguments[0])
        files.check()
        files.mend_modes()
        arguments[0] = files.uri
        options |= {"uri": True, "factory": CountedConnection}


@event.listens_for(Engine, "connect")
def set_pragmas(connection: Any, record: Any) -> None:
    """Prepare a new connection; triggers call its two functions for the change log."""
    if not isinstance(connection, CountedConnection):
        return
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    connection.create_function("acting_user", 0, acting_user)
    connection.create_function("logged_operation", 0, logged_operation.get)
    try:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    record.info["files"].add(connection)


def wait_for_lock(connection: Connection) -> None:
    """Let the next statement of a connection wait for the write lock as long as it may."""
    if connection.dialect.name == "sqlite":
        # Roughly, so that it seldom changes.
        set_busy_timeout(connection.connection.driver_connection, 100 * ceil(10 * time_left()))


def takes_lock(driver: Any) -> bool:
    """Return whether a transaction has begun with the write lock, waiting as long as it may.

    SQLite by itself would soon look every 100 milliseconds only. Of two processes that write all
    the time, one has the lock again after less than one, and the other would wait for seconds.
    """
    gives_up_at = monotonic() + time_left()
    set_busy_timeout(driver, LOOKS)
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE")
            return True
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or monotonic() >= gives_up_at:
                return False


def set_busy_timeout(driver: Any, timeout: int) -> None:
    """Set for how many milliseconds a statement of the driver's connection waits for the lock."""
    if driver.busy_timeout != timeout:
        driver.execute(f"PRAGMA busy_timeout={timeout}")
        driver.busy_timeout = timeout


@contextmanager
def driver_transaction(driver: Any) -> Iterator[None]:
    """Begin a transaction of the driver's, with the checks of the engine that writes.

    The caller commits. After an error, the connection's pool rolls it back.
    """
    if not takes_lock(driver):
        driver.execute("BEGIN IMMEDIATE")
    yield
    driver.files.check_quickly()


@event.listens_for(Engine, "begin")
def begin_immediate(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads and then writes loses no update."""
    if writes_to_sqlite(connection) and not takes_lock(connection.connection.driver_connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@event.listens_for(Engine, "commit")
def check_before_commit(connection: Connection) -> None:
    """Store nothing in a file that was deleted or replaced meanwhile."""
    if writes_to_sqlite(connection):
        files: DatabaseFiles = connection.info["files"]
        try:
            with sqlalchemy_errors():
                files.check_quickly()
        except DatabaseError:
            # SQLAlchemy takes the transaction for ended, and would not roll it back.
            connection.connection.driver_connection.rollback()  # type: ignore[union-attr]
            raise


def writes_to_sqlite(connection: Connection) -> bool:
    """Return whether a connection is one of the engine that writes, and to SQLite."""
    return connection.dialect.name == "sqlite" and not is_autocommit(connection)


@contextmanager
def sqlalchemy_errors() -> Iterator[None]:
    """Raise SQLAlchemy's error where the files are not as they should be."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise DatabaseError("", None, error) from error


def files_of(engine: Engine) -> DatabaseFiles | None:
    """Return the files of an engine's database, None on PostgreSQL."""
    return files_at(str(engine.url.database)) if engine.name == "sqlite" else None


def is_autocommit(connection: Connection) -> bool:
    """Return whether each statement is a transaction of its own, as on the engine for reading."""
    return bool(connection.get_execution_options().get("autocommit"))


@event.listens_for(Engine, "handle_error")
def mark_disconnect(context: ExceptionContext) -> None:
    """Let SQLAlchemy drop a connection that is of no use any more."""
    if is_lost(context.original_exception):
        context.is_disconnect = True


def is_lost(error: BaseException) -> bool:
    """Return whether an error means that its connection is of no use any more."""
    return primary_code(error) in DISCONNECT_CODES or lacks_table(error)


def lacks_table(error: object) -> bool:
    """Return whether a connection did not know a table, so that nothing was done.

    A connection was seen not to find one that is there, when others had made text indexes anew.
    """
    return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error)
