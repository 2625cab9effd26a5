"""Transactions of the worker, which wait for the database no longer than a request would."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from omnidesk.db import db, sqlite
from omnidesk.db.request_deadline import within_deadline

MAX_WAIT = 10.0  # seconds for SQLite's write lock
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error, OSError)


@contextmanager
def in_time() -> Iterator[None]:
    """Wait for the database for a few seconds at most; roll back at an error. Also a decorator."""
    with within_deadline(), sqlite.waiting_at_most(MAX_WAIT):
        try:
            yield
        except DATABASE_ERRORS:
            db.session.rollback()
            raise
