"""Positions in the feed of changes: the last there is, and one before a time."""

from typing import Any

from sqlalchemy import Integer, Select, bindparam, func, select

from omnidesk.db.change_log import ONE, ByDialect, Change, CommitOrder
from omnidesk.db.database_id import DatabaseId


def latest() -> Select[int]:
    """Select the seq of the last change in the feed, or where the feed starts."""
    return select(or_start(Change.newest(None).where(Change.is_settled())))


def position_before() -> Select[int]:
    """Select the seq of the last change made before a `time`, or where the feed starts.

    It is the last by its time: others may have been made before, and committed after it.
    """
    time = bindparam("time", type_=Change.at.type)
    made = select(Change.seq).where(Change.at < time).order_by(Change.at.desc()).limit(ONE)
    return select(or_start(made))


def or_start(change: Select[int]) -> ByDialect:
    """Return the seq of a change, or where the feed starts, if that is later."""
    found, start = func.coalesce(change.scalar_subquery(), 0), DatabaseId.feed_start()
    greatest = func.greatest(found, start, type_=Change.seq.type)
    return ByDialect(postgresql=greatest, sqlite=func.max(found, start))


def place() -> Select[Any]:
    """Select what the change of a `seq` is ordered by before its seq."""
    return select(CommitOrder.of(Change).at(bindparam("seq", type_=Integer())))
