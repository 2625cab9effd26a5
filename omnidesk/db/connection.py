"""A connection to PostgreSQL that gives up in time, whatever the server does.

Nothing else imports psycopg, and this module is only imported where the database is PostgreSQL.
"""

from functools import cache
from threading import Semaphore
from time import monotonic
from typing import Any, Self

import psycopg
from psycopg.errors import ConnectionTimeout, _WaitTimeout

from omnidesk.db.request_deadline import request_deadline

VARIABLES = {
    option.keyword.decode(): option.envvar.decode()
    for option in psycopg.pq.Conninfo.get_defaults()
    if option.envvar
}
INTERVAL = 0.1  # seconds; so often psycopg looks for a signal while it waits
PATIENCE = 2.5  # seconds; longer than the server lets a statement wait for a lock
PAUSE = 1  # seconds in which a worker asks nothing, once the server takes no connection
POOL_MODE = (
    "A pooler such as PgBouncer gives the transactions of one connection different sessions: "
    "set pool_mode=session for this database."
)


class GaveUpError(psycopg.OperationalError, TimeoutError):
    """The server has not answered in time. What was asked of it may be done or not."""


class SharedSessionError(psycopg.OperationalError):
    """A pooler in between gives the transactions of one connection different sessions."""


class Waits:
    """Keeps one thread of a worker free, for `/healthz`, while the others wait for the server."""

    def __init__(self, threads: int) -> None:
        self.long = Semaphore(max(1, threads - 1))
        self.connecting = Semaphore(max(1, threads - 1))
        self.paused_until = 0.0

    def pause(self) -> None:
        """Let other requests fail at once for a moment, or they would queue."""
        self.paused_until = monotonic() + PAUSE


@cache
def waits_of(threads: int) -> Waits:
    """Return the waits of this process, which has so many threads."""
    return Waits(threads)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when a request has waited for the server as long as it may.

    Outside of requests, such as in a migration, it waits for as long as the server takes.
    """

    waits: Waits

    @classmethod
    def open(cls, parameters: dict[str, Any]) -> Self:
        """Return a new connection to the database of the driver's parameters.

        `settings` among them are set for its session, and `threads` are those of this process.
        Raises OperationalError, for a server that is silent after a few seconds.
        """
        others = dict(parameters)
        settings, threads = others.pop("settings", {}), others.pop("threads", 1)
        connection = cls.connect_in_time(waits_of(threads), others)
        try:
            if settings:
                connection.set_session(settings, others)
        except BaseException:
            connection.close()
            raise
        return connection

    @classmethod
    def connect_in_time(cls, waits: Waits, parameters: dict[str, Any]) -> Self:
        """Return a new connection; raise OperationalError, at once while others are waiting."""
        deadline, now = request_deadline.get(), monotonic()
        if deadline is not None and (now < waits.paused_until or now >= deadline):
            raise GaveUpError("it was silent for too long")
        if not waits.connecting.acquire(timeout=PAUSE):
            waits.pause()
            raise GaveUpError("too many requests are waiting for it")
        try:
            connection = cls.connect(**parameters)
        except ConnectionTimeout:
            waits.pause()
            raise
        finally:
            waits.connecting.release()
        connection.waits = waits
        return connection

    def set_session(self, settings: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Set what holds until the connection ends; raise SharedSessionError where it would not."""
        if self.server_process() != self.pgconn.backend_pid:  # a pooler tells its own number
            require_session(self, parameters)
        calls = (f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        self.execute(f"SELECT {', '.join(calls)}".encode())

    def server_process(self) -> int:
        """Return the number of the server's process that answers."""
        row: Any = self.execute("SELECT pg_backend_pid()").fetchone()
        return int(row[0])

    def rollback(self) -> None:
        """Roll back the transaction; if the connection is lost, the server does so by itself.

        So what a request is answered stays, if it has written nothing and the server ends then.
        """
        try:
            super().rollback()
        except psycopg.OperationalError:
            if not self.closed:
                raise

    def wait(self, gen: Any, interval: float = INTERVAL, timeout: float | None = None) -> Any:
        """Return what the server answers; close the connection and raise GaveUpError if late."""
        deadline = request_deadline.get()
        if deadline is None:
            return super().wait(gen, interval, timeout)
        now = monotonic()
        if now >= deadline or now < self.waits.paused_until:
            raise self.give_up()
        try:
            return super().wait(gen, interval, min(deadline - now, PATIENCE))
        except _WaitTimeout:
            return self.wait_longer(gen, interval, deadline)

    def wait_longer(self, gen: Any, interval: float, deadline: float) -> Any:
        """Wait until the deadline, but not in the last thread that is free."""
        if not self.waits.long.acquire(blocking=False):
            raise self.give_up() from None
        try:
            return super().wait(gen, interval, max(0, deadline - monotonic()))
        except _WaitTimeout:
            raise self.give_up() from None
        finally:
            self.waits.long.release()

    def give_up(self) -> GaveUpError:
        """Close the connection, which may be in the middle of an answer; return the error."""
        self.close()
        return GaveUpError("it was silent for too long")


@cache
def known_sessions() -> set[str]:
    """Return the databases behind a pooler that was seen to keep sessions."""
    return set()


def require_session(first: BoundedConnection, parameters: dict[str, Any]) -> None:
    """Raise SharedSessionError unless a pooler keeps a session for each of its connections.

    A pooler that does not gives the session that one connection has just left to the next that
    begins a transaction, at least when nobody else is asking: so we try a few times.
    """
    database = first.info.dsn
    if database in known_sessions():
        return
    with BoundedConnection.connect_in_time(first.waits, parameters) as second:
        if any(shares_session(first, second) for _ in range(5)):
            raise SharedSessionError(POOL_MODE)
    known_sessions().add(database)


def shares_session(first: BoundedConnection, second: BoundedConnection) -> bool:
    """Return whether a pooler gives one connection what another one has just left."""
    before = first.server_process()
    try:
        second.execute("BEGIN")
    except psycopg.errors.ProtocolViolation:  # pool_mode=statement knows no transactions
        return True
    taken, after = second.server_process(), first.server_process()
    second.execute("ROLLBACK")
    return taken == before or after != before


def environment(parameters: dict[str, Any]) -> dict[str, str]:
    """Return how PostgreSQL's own programs are told where to connect, without others seeing it."""
    given = parameters.items()
    return {VARIABLES[name]: str(value) for name, value in given if name in VARIABLES}
