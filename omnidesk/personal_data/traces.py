"""What the files of SQLite have of texts that were deleted.

Every connection overwrites what it deletes. But a text index notes that a word was deleted, and has
it until its parts are merged; and the `-wal` has earlier pages until it is written anew. PostgreSQL
keeps old rows in its files until a VACUUM, and gives them to nobody.
"""

from time import monotonic, sleep
from typing import Any

from omnidesk.db import db
from omnidesk.db.search import merge_some

INDEXES = ("client_search", "ticket_search", "comment_search", "message_search")
PAGES = 100  # of 4 kB that one transaction merges
CHECKPOINT_PAUSE = 0.05  # seconds


def remove(until: float) -> bool:
    """Remove them; return whether that was done before a time of the monotonic clock."""
    if db.engine.name != "sqlite":
        return True
    return all(merge(index, until) for index in INDEXES) and write_back(until)


def merge(index: str, until: float) -> bool:
    """Merge all parts of a text index; return whether it is one now."""
    step(index, -PAGES)
    while step(index, PAGES):
        if monotonic() > until:
            return False
    return True


def step(index: str, pages: int) -> bool:
    """Merge so many pages in a transaction of its own; return whether there was anything to do."""
    began = monotonic()
    with db.engine.begin() as connection:
        done = merge_some(connection, index, pages)
    sleep(min(0.05, monotonic() - began))  # so long others can write
    return done


def write_back(until: float) -> bool:
    """Write what the `-wal` has into the database and empty it; False while others read from it."""
    connection = db.engine.raw_connection()
    try:
        while True:
            driver: Any = connection.driver_connection
            ((busy, *_),) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            if not busy or monotonic() > until:
                return not busy
            sleep(CHECKPOINT_PAUSE)
    finally:
        connection.close()
