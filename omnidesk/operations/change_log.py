"""Old changes are deleted in steps, beside a running server."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from time import monotonic

import click
from sqlalchemy import func, select

from omnidesk.db import db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.feed_start import delete_through
from omnidesk.db.scans import many
from omnidesk.db.session import READ
from omnidesk.operations.steps import transaction

MIN_STEP, MAX_STEP = 100, 1_000  # changes that one transaction deletes
# Seconds that one takes. On PostgreSQL, no writer waits for it.
AIM = {"sqlite": 0.015, "postgresql": 1.0}


def prune(days: int) -> int:
    """Delete the changes that are older than so many days; return how many."""
    before, deleted = utcnow() - timedelta(days=days), 0
    first, last = bounds()
    with click.progressbar(length=max(0, last - first), label="changes") as bar:
        for seq, count in steps(before):
            deleted += count
            bar.update(min(seq - first, last - first) - bar.pos)
    return deleted


def bounds() -> tuple[int, int]:
    """Return the least and the greatest seq of all changes."""
    with db.engines[READ].connect() as connection:
        row = connection.execute(select(func.min(Change.seq), func.max(Change.seq))).one()
    return row[0] or 0, row[1] or 0


def steps(before: datetime) -> Iterator[tuple[int, int]]:
    """Delete the changes from before a time; yield up to which seq, and how many, each time."""
    seq, size = 0, MIN_STEP
    while True:
        found = old_seqs(before, after=seq, limit=size)
        if not found:
            return
        with transaction() as connection:
            started = monotonic()
            seq, count = delete_through(connection, found[-1])
        yield seq, count
        size = next_size(size, (monotonic() - started) / 2)  # the other half was a pause


def old_seqs(before: datetime, *, after: int, limit: int) -> list[int]:
    """Return the seqs of the first changes after one, up to the first that is not old.

    A change that the feed does not show yet is not old. Those of a time that is yet to come are
    left out: the clock was fast when they were made, and the others tell how long ago that was.
    """
    is_past = many(Change.at <= utcnow())  # as most are, so their order is that of the seq
    rows = select(Change.seq, Change.at, Change.is_settled()).where(Change.seq > after, is_past)
    with db.engines[READ].connect() as connection:
        found = connection.execute(rows.order_by(Change.seq).limit(limit)).all()
    return [seq for seq, _, _ in takewhile(lambda row: row[1] < before and row[2], found)]


def next_size(size: int, seconds: float) -> int:
    """Return how many changes the next step deletes, after one of so many took so long."""
    fitting = int(size * AIM[db.engine.name] / max(seconds, 0.001))
    return max(MIN_STEP, min(MAX_STEP, 2 * size, fitting))
