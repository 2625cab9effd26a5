"""What is asked of the database, counted where the settings ask for metrics.

Each thread counts for itself, without a lock. Whoever answers its request takes the counts.
"""

from threading import local
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import Engine, event

DEADLOCK = "40P01"  # a SQLSTATE of PostgreSQL
FAULTS = ("deadlock", "lost connection")


class Usage(NamedTuple):
    """What was asked of the database: statements and seconds by pool, and faults by kind.

    The seconds are those in which a connection was in use.
    """

    pools: dict[str, tuple[int, float]]
    faults: dict[str, int]


class Counts(local):
    """What the present thread has asked of the database since `take` was called last."""

    def __init__(self) -> None:
        self.pools: dict[str, tuple[int, float]] = {}
        self.faults: dict[str, int] = {}


counts = Counts()


def take() -> Usage:
    """Return what this thread has counted, which then begins anew."""
    found = Usage(counts.pools, counts.faults)
    counts.pools, counts.faults = {}, {}
    return found


def count_use(pool: str, statements: int, seconds: float) -> None:
    """Count statements of a pool, or the time that one of its connections was in use."""
    number, total = counts.pools.get(pool, (0, 0.0))
    counts.pools[pool] = number + statements, total + seconds


def note_error(error: object, *, lost: bool) -> None:
    """Count an error of the driver's: a deadlock, or a lost connection."""
    is_deadlock = getattr(error, "sqlstate", None) == DEADLOCK
    if is_deadlock or lost:
        fault = "deadlock" if is_deadlock else "lost connection"
        counts.faults[fault] = counts.faults.get(fault, 0) + 1


def measure(name: str, engine: Engine) -> None:
    """Count what is asked of an engine's pool through SQLAlchemy.

    The driver's own inserts run one statement, of which SQLAlchemy knows nothing.
    """

    @event.listens_for(engine, "checkout")
    def lend(_driver: Any, record: Any, _proxy: Any) -> None:
        record.info["lent_at"], record.info["statements"] = perf_counter(), 0

    @event.listens_for(engine, "checkin")
    def take_back(_driver: Any, record: Any) -> None:
        if lent_at := record.info.pop("lent_at", None):
            statements = record.info["statements"] or 1
            count_use(name, statements, perf_counter() - lent_at)

    @event.listens_for(engine, "before_cursor_execute")
    def count(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            connection.connection.info["statements"] += 1
