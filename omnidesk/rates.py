"""How often somebody came: counts in the database, which all workers share and no restart loses."""

from contextlib import suppress
from functools import cache
from threading import Lock
from time import time
from typing import Any

from flask import current_app
from limits import RateLimitItem
from limits.storage import Storage, storage_from_string
from sqlalchemy import (
    BigInteger,
    Engine,
    Index,
    String,
    bindparam,
    case,
    create_engine,
    delete,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, alone, db
from omnidesk.prepared import Prepared

MOST = 10_000  # windows that a worker remembers before it forgets those that are over
STEPS = 20  # a worker counts by itself for at most a twentieth of what is left


class RateLimitWindow(Base):
    """How often somebody came in a window of time, which ends at a second since 1970."""

    __tablename__ = "rate_limit_window"

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    ends_at: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "ends_at"),)

    @classmethod
    def prune(cls) -> int:
        """Forget the windows that are over; return how many."""
        gone = delete(cls).where(cls.ends_at <= int(time())).returning(cls.key)
        return len(db.session.execute(gone).all())


WINDOW = Prepared(
    select(RateLimitWindow.count, RateLimitWindow.ends_at).where(
        RateLimitWindow.key == bindparam("key"), RateLimitWindow.ends_at > bindparam("now")
    )
)


@cache
def counting_engine(engine: Engine) -> Engine:
    """Give the database by connections of its own, which wait for no disk to commit.

    What a power cut may take of these counts is not worth a wait. (Not OFF on SQLite: such a
    connection would also move others' rows out of the log without waiting, and could lose them.)
    """
    options = current_app.config["SQLALCHEMY_ENGINE_OPTIONS"]
    own = create_engine(engine.url, **{**options, "pool_size": 1, "max_overflow": 4})

    @event.listens_for(own, "connect")
    def hurry(connection: Any, _record: Any) -> None:
        if own.name == "sqlite":
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA busy_timeout=1000")
        else:
            connection.execute("SET synchronous_commit = off")
            connection.commit()

    return alone(own)


class DatabaseStorage(Storage):
    """The desk's database as a storage of the limits library."""

    STORAGE_SCHEME = ["database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        """Give what it raises when the database cannot be asked."""
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count some more under a key, in a new window of that many seconds if the last is over."""
        now = int(time())
        with counting_engine(db.engine).connect() as connection:
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            new = insert(RateLimitWindow).values(key=key, count=amount, ends_at=now + expiry)
            over = RateLimitWindow.ends_at <= now
            counted = new.on_conflict_do_update(
                index_elements=[RateLimitWindow.key],
                set_={
                    "count": case(
                        (over, new.excluded.count), else_=RateLimitWindow.count + new.excluded.count
                    ),
                    "ends_at": case((over, new.excluded.ends_at), else_=RateLimitWindow.ends_at),
                },
            )
            return int(connection.execute(counted.returning(RateLimitWindow.count)).scalar_one())

    def get(self, key: str) -> int:
        """Give the count under a key."""
        return self.window(key)[0]

    def get_expiry(self, key: str) -> float:
        """Give when the window of a key ends, in seconds since 1970."""
        return self.window(key)[1]

    def window(self, key: str) -> tuple[int, int]:
        """Give the count under a key and when its window ends."""
        now = int(time())
        rows = WINDOW(key=key, now=now)
        return (rows[0][0], rows[0][1]) if rows else (0, now)

    def check(self) -> bool:
        """Tell whether the database can be asked."""
        try:
            self.get("")
        except SQLAlchemyError:
            return False
        return True

    def reset(self) -> int:
        """Forget all counts; give how many there were."""
        with counting_engine(db.engine).connect() as connection:
            return len(
                connection.execute(delete(RateLimitWindow).returning(RateLimitWindow.key)).all()
            )

    def clear(self, key: str) -> None:
        """Forget the count under a key."""
        with counting_engine(db.engine).connect() as connection:
            connection.execute(delete(RateLimitWindow).where(RateLimitWindow.key == key))


class Window:
    """What a worker knows of a count: what was stored, and what is not stored yet."""

    __slots__ = ("ends", "key", "pending", "quota", "stored")

    def __init__(self, key: str, quota: int, ends: float) -> None:
        self.key, self.quota, self.ends = key, quota, ends
        self.stored, self.pending = 0, 0

    @property
    def left(self) -> int:
        """How often somebody may still come."""
        return max(0, self.quota - self.stored - self.pending)


class Batches:
    """Fixed windows that are stored some hits at a time: the less is left, the fewer.

    So a request costs next to nothing, and near its limit a count is exact.
    """

    def __init__(self, storage: Storage, item: RateLimitItem, name: str) -> None:
        self.storage, self.item, self.name = storage, item, name
        faults: Any = storage.base_exceptions
        self.faults: tuple[type[Exception], ...] = (
            faults if isinstance(faults, tuple) else (faults,)
        )
        self.windows: dict[str, Window] = {}
        self.lock = Lock()

    def hit(self, who: str) -> tuple[bool, Window]:
        """Count somebody's coming; tell whether that was within the limit, and of which window."""
        window = self.windows.get(who)
        if window is None or window.ends <= time():
            window = self.open(who, window)
        with self.lock:
            if window.stored >= window.quota:
                return False, window
            window.pending += 1
            if window.pending * STEPS < window.quota - window.stored - window.pending:
                return True, window
            pending, window.pending = window.pending, 0
            window.stored += pending
        # Whoever can still be answered is: if it fails, this worker goes on by what it knows.
        with suppress(*self.faults):
            stored = self.storage.incr(window.key, self.item.get_expiry(), amount=pending)
            window.stored = max(window.stored, stored)
            window.ends = self.storage.get_expiry(window.key)
        return window.stored <= window.quota, window

    def open(self, who: str, over: Window | None) -> Window:
        """Give a new window for somebody whose last one is over, with what is stored of it."""
        now = time()
        new = Window(
            self.item.key_for(self.name, who), self.item.amount, now + self.item.get_expiry()
        )
        with suppress(*self.faults):
            if stored := self.storage.get(new.key):
                new.stored, new.ends = stored, self.storage.get_expiry(new.key)
        with self.lock:
            if len(self.windows) > MOST:
                self.windows = {name: w for name, w in self.windows.items() if w.ends > now}
            if self.windows.get(who) is over:
                self.windows[who] = new
            return self.windows.setdefault(who, new)


@cache
def storage_at(uri: str) -> Storage:
    """Give the storage at a URI: `database://`, or one of the limits library's, as `redis://`."""
    found: Any = storage_from_string(uri)
    return found  # type: ignore[no-any-return]
