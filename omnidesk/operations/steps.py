"""Transactions that a command makes one after the other, beside a running server."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from sqlalchemy import Connection

from omnidesk.db import db
from omnidesk.db.postgresql import disable_timeouts


@contextmanager
def transaction() -> Iterator[Connection]:
    """Write in a transaction of its own, and then leave others as much time to write."""
    with db.engine.begin() as connection:
        started = monotonic()
        disable_timeouts(connection)
        yield connection
    sleep(monotonic() - started)
