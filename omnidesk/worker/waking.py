"""When the worker looks for something to send: at once where it can, and twice a second anyway."""

from threading import Event
from time import monotonic
from typing import Any

from sqlalchemy import Engine

MAX_SLEEP = 0.5  # seconds
SQLITE_STEP = 0.02  # seconds between two looks at a number
POSTGRESQL_STEP = 0.1  # seconds between two claims; NOTIFY would make commits wait for each other


class Waking:
    """Waits until something may have been stored, or a thread has become free."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.changed = Event()
        self.connection: Any = None
        self.version = 0

    def wait(self, *, soon: bool) -> None:
        """Return when it is time to look again; with `soon`, after a moment at the latest."""
        is_sqlite = self.engine.name == "sqlite"
        step = SQLITE_STEP if is_sqlite else POSTGRESQL_STEP
        until = monotonic() + (step if soon or not is_sqlite else MAX_SLEEP)
        while not self.changed.wait(step) and monotonic() < until:
            if self.is_changed():
                break
        self.changed.clear()

    def is_changed(self) -> bool:
        """Return whether another connection has committed since this was last asked (SQLite's)."""
        if self.connection is None:
            self.connection = self.engine.connect()
        before, self.version = self.version, self.connection.exec_driver_sql(VERSION).scalar()
        return self.version != before

    def close(self) -> None:
        """Close the connection, which the database may have lost."""
        if self.connection is not None:
            self.connection.invalidate()
            self.connection.close()
            self.connection = None


VERSION = "PRAGMA data_version"  # 20 microseconds
