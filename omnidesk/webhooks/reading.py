"""Statements that threads run one after the other on SQLite, to need few connections.

Each connection has the whole schema in memory, which is a megabyte.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Any

from omnidesk.db import db
from omnidesk.db.statements import Statement

LOCK = Lock()


class InTurn(Statement):
    """A select that takes no time worth mentioning."""

    def fetch(self, **values: Any) -> Sequence[Any]:
        """Return all rows, when no other thread reads on SQLite."""
        if db.engine.name != "sqlite":
            return super().fetch(**values)
        with LOCK:
            return super().fetch(**values)
