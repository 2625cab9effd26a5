"""Where requests are counted: in the database, which all workers share, or where `limits` can."""

from contextlib import suppress
from functools import cache
from threading import Lock
from time import monotonic, time
from typing import Any

from flask import Flask
from limits import RateLimitItem
from limits.storage import Storage, storage_from_string
from sqlalchemy import BigInteger, Index, String, bindparam, case, delete, event, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, db
from omnidesk.db.inserts import insert_or_conflict
from omnidesk.db.session import RATE_LIMITS
from omnidesk.db.sqlite import wait_for_lock, waiting_at_most
from omnidesk.db.statements import Statement

MAX_WINDOWS = 10_000  # that a worker keeps before it removes those that have ended
MAX_WAIT = 0.1  # seconds that a request waits for a writer, so that it is counted
PAUSE = 1  # seconds in which a worker stores no count after one could not be stored
FLUSH_FRACTION = 20  # a worker stores its count when it is a twentieth of what remains
MAX_SKEW = 60  # seconds that the clocks of servers may differ by, or be set back by without notice


class RateLimitWindow(Base):
    """How many requests a key had in a window of time, which ends at a second since 1970."""

    __tablename__ = "rate_limit_window"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    ends_at: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "ends_at"),)

    @classmethod
    def prune(cls) -> int:
        """Delete the windows that have ended; return how many."""
        ended = delete(cls).where(cls.ends_at <= int(time())).returning(cls.key)
        return len(db.session.execute(ended).all())


CURRENT_WINDOW = Statement(
    select(RateLimitWindow.count, RateLimitWindow.ends_at).where(
        RateLimitWindow.key == bindparam("key"), RateLimitWindow.ends_at > bindparam("now")
    )
)


def init_app(app: Flask) -> None:
    """Let the engine of the counts wait for no disk: what a power cut takes of them is cheap.

    NORMAL and not OFF: with OFF, a checkpoint on such a connection could lose the rows of others.
    """
    with app.app_context():
        engine = db.engines[RATE_LIMITS]
    if engine.name == "sqlite":

        @event.listens_for(engine, "connect")
        def relax(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous=NORMAL")


class DatabaseStorage(Storage):
    """The desk's database as a storage of the limits library."""

    STORAGE_SCHEME = ["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what is raised while the database does not answer."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a key's count and return it; a new window lasts `expiry` seconds."""
        now = int(time())
        with db.engines[RATE_LIMITS].connect() as connection:
            wait_for_lock(connection)
            insert = insert_or_conflict(RateLimitWindow, connection.dialect.name)
            new = insert.values(key=key, count=amount, ends_at=now + expiry)
            ends_at = RateLimitWindow.ends_at
            ended = or_(ends_at <= now, ends_at > now + expiry + MAX_SKEW)  # as for `is_open`
            total = RateLimitWindow.count + new.excluded.count
            counted = new.on_conflict_do_update(
                index_elements=[RateLimitWindow.key],
                set_={
                    "count": case((ended, new.excluded.count), else_=total),
                    "ends_at": case((ended, new.excluded.ends_at), else_=ends_at),
                },
            )
            return int(connection.execute(counted.returning(RateLimitWindow.count)).scalar_one())

    def get(self, key: str) -> int:
        """Return a key's count."""
        return self.window(key)[0]

    def get_expiry(self, key: str) -> float:
        """Return when a key's window ends, in seconds since 1970."""
        return self.window(key)[1]

    def window(self, key: str) -> tuple[int, int]:
        """Return a key's count and when its window ends; 0 and now where none is open."""
        now = int(time())
        rows = CURRENT_WINDOW.fetch(key=key, now=now)
        return (rows[0][0], rows[0][1]) if rows else (0, now)

    def check(self) -> bool:
        """Return whether the database answers."""
        try:
            self.get("")
        except SQLAlchemyError:
            return False
        return True

    def reset(self) -> int:
        """Delete all counts; return how many there were."""
        with db.engines[RATE_LIMITS].connect() as connection:
            deleted = delete(RateLimitWindow).returning(RateLimitWindow.key)
            return len(connection.execute(deleted).all())

    def clear(self, key: str) -> None:
        """Delete a key's count."""
        with db.engines[RATE_LIMITS].connect() as connection:
            connection.execute(delete(RateLimitWindow).where(RateLimitWindow.key == key))


def is_open(ends_at: float, item: RateLimitItem) -> bool:
    """Return whether a limit's window that ends then is open, in seconds since 1970.

    One that ends later than any that begins now is of a clock that was set back since.
    """
    now = time()
    return now < ends_at <= now + item.get_expiry() + MAX_SKEW


def count_in(storage: Storage, item: RateLimitItem, key: str) -> int:
    """Return a key's count in its window, 0 where none is open."""
    count = storage.get(key)
    return count if count and is_open(storage.get_expiry(key), item) else 0


class Window:
    """A worker's view of a window: what is stored, and what it has not stored yet."""

    __slots__ = ("ends_at", "key", "pending", "quota", "stored")

    def __init__(self, key: str, quota: int, ends_at: float) -> None:
        self.key, self.quota, self.ends_at = key, quota, ends_at
        self.stored, self.pending = 0, 0

    @property
    def remaining(self) -> int:
        """Return how many more requests are accepted."""
        return max(0, self.quota - self.stored - self.pending)


class BufferedWindows:
    """Fixed windows whose counts are stored several requests at a time, fewer as less remains.

    A request then costs next to nothing, and near its limit a count is exact.
    """

    def __init__(self, storage: Storage, item: RateLimitItem, name: str) -> None:
        self.storage, self.item, self.name = storage, item, name
        errors: Any = storage.base_exceptions
        self.errors: tuple[type[Exception], ...] = (
            errors if isinstance(errors, tuple) else (errors,)
        )
        self.windows: dict[str, Window] = {}
        self.lock = Lock()
        self.paused_until = 0.0

    def hit(self, key: str) -> tuple[bool, Window]:
        """Count a request; return whether it is within the limit, and its window."""
        window = self.windows.get(key)
        if window is None or not is_open(window.ends_at, self.item):
            window = self.open(key, window)
        with self.lock:
            if not window.remaining:
                return False, window
            window.pending += 1
            is_paused = monotonic() < self.paused_until
            if window.pending * FLUSH_FRACTION < window.remaining or is_paused:
                return True, window
            pending, window.pending = window.pending, 0
            window.stored += pending
        try:
            with waiting_at_most(MAX_WAIT):
                stored = self.storage.incr(window.key, self.item.get_expiry(), amount=pending)
        except self.errors:  # the worker goes on by what it knows, and stores it later
            self.paused_until = monotonic() + PAUSE
            with self.lock:
                window.stored -= pending
                window.pending += pending
            return True, window
        with suppress(*self.errors):
            window.stored = max(window.stored, stored)
            window.ends_at = self.storage.get_expiry(window.key)
        return window.stored <= window.quota, window

    def open(self, key: str, ended: Window | None) -> Window:
        """Return a new window in place of one that has ended, with what other workers stored."""
        now = time()
        new = Window(
            self.item.key_for(self.name, key), self.item.amount, now + self.item.get_expiry()
        )
        with suppress(*self.errors):
            if stored := count_in(self.storage, self.item, new.key):
                new.stored, new.ends_at = stored, self.storage.get_expiry(new.key)
        with self.lock:
            if len(self.windows) > MAX_WINDOWS:
                others = self.windows.items()
                self.windows = {k: w for k, w in others if is_open(w.ends_at, self.item)}
            if self.windows.get(key) is ended:
                self.windows[key] = new
            return self.windows.setdefault(key, new)


@cache
def storage_at(uri: str) -> Storage:
    """Return the storage of a URI: `database://`, or one that `limits` has, such as `redis://`."""
    storage: Any = storage_from_string(uri)
    return storage  # type: ignore[no-any-return]
