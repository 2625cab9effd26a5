"""Where the feed of changes starts: what a command changes that deletes changes, or restores them.

Readers whose position is before the start are refused. So a change's `seq` alone must tell whether
it is before: no change before the start may come after one behind it in the order of commits.
"""

from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from omnidesk.db.change_log import NEWEST_TRANSACTION, Change
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.numbers import continue_after, last_number, start_beyond

CHANGES = Change.metadata.tables[Change.__tablename__]


def delete_through(connection: Connection, seq: int) -> tuple[int, int]:
    """Delete the changes up to a seq, and let the feed start behind them.

    A few later ones are deleted, too, where on PostgreSQL they come before one of these in the
    order of commits. Returns the seq of the last, and how many were deleted.
    """
    if connection.dialect.name == "postgresql":
        seq = last_before_others(connection, seq)
    deleted = connection.execute(delete(Change).where(Change.seq <= seq)).rowcount
    is_later = DatabaseId.changes_after < seq
    connection.execute(update(DatabaseId).where(is_later).values(changes_after=seq))
    return seq, deleted


def last_before_others(connection: Connection, seq: int) -> int:
    """Return the first seq from this one on up to which changes come before all others."""
    while True:
        newest = greatest(connection, Change.transaction_id, Change.seq <= seq)
        earlier = greatest(connection, Change.seq, Change.transaction_id < newest)
        if earlier <= seq:
            return seq
        seq = earlier


def greatest(connection: Connection, column: Any, condition: Any) -> int:
    """Return the greatest value of a column in the rows that meet a condition, or 0.

    They are found first: PostgreSQL would walk all others from the greatest.
    """
    rows = select(column.label("value")).where(condition).offset(0).subquery()
    return connection.scalar(select(func.max(rows.c.value))) or 0


def start_anew(connection: Connection) -> None:
    """Let the feed start behind all changes that there are, and far beyond the last seq given out.

    New ones are looked for behind the one of the greatest seq.
    """
    start = start_beyond(last_number(connection, CHANGES))
    connection.execute(update(DatabaseId).values(changes_after=start))
    continue_after(connection, CHANGES, start)
    if connection.dialect.name == "postgresql":
        put_last(connection)


def put_last(connection: Connection) -> None:
    """Let the change of the greatest seq be the last in the order of commits."""
    last = select(func.max(Change.seq)).scalar_subquery()
    newest = select(func.max(Change.transaction_id)).scalar_subquery()
    connection.execute(update(Change).where(Change.seq == last).values(transaction_id=newest))


def renumber_restored(connection: Connection) -> None:
    """Put the changes of a restored database below the transactions of the server it is on now.

    A dump brings the numbers of the server it was taken from. Those that this server has not
    reached would not be read, and new changes would come before them. Their order stays.
    """
    newest = connection.scalar(select(func.max(Change.transaction_id)))
    if newest is not None and newest > connection.scalar(select(NEWEST_TRANSACTION)):
        connection.execute(update(Change).values(transaction_id=Change.transaction_id - newest))
