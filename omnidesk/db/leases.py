"""Leases: a worker has rows of a queue for a time, in which the others leave them alone.

A row is due at a time. Whoever claims it writes a token into it, and makes it due again when the
lease ends: what a worker that died has left behind is claimed by another.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Table,
    and_,
    bindparam,
    case,
    or_,
    select,
    update,
)

from omnidesk.db.clock import NOW, due_in
from omnidesk.db.session import db
from omnidesk.db.statements import Statement

LEASE_SECONDS = 30.0  # longer than the steps take that are done with one
MARGIN = 2.0  # seconds that a clock may be set back without notice


class Leases:
    """The rows of a table with the columns `due_at` and `lease`, by their destination.

    An index begins with the columns of the destination and `due_at`, so that a claim takes no
    longer where many rows wait. No row is ever due later than in `longest` seconds, unless the
    clock was set back meanwhile.
    """

    def __init__(self, table: Table, destination: Column[Any], longest: float) -> None:
        self.table, self.destination, self.longest = table, destination, longest
        (self.key,) = table.primary_key
        self.due_at, self.lease = table.c.due_at, table.c.lease
        at_destination = destination == bindparam("destination")
        self.late_keys = Statement(select(self.key).where(at_destination, self.is_late()))

    def is_due(self) -> ColumnElement[bool]:
        """Return the condition of the rows that can be claimed."""
        return self.due_at <= NOW

    def claim(self, value: int, count: int, token: str) -> Sequence[Row[Any]]:
        """Return the first `count` rows that are due at a destination, claimed with a token.

        Those that another transaction has locked are left out.
        """
        due = (
            select(self.key)
            .where(self.destination == value, self.is_due())
            .order_by(self.due_at)
            .limit(count)
            .with_for_update(skip_locked=True)
            .cte("due")  # so PostgreSQL runs it once, whatever it plans
        )
        claimed = (
            update(self.table)
            .where(self.key.in_(select(due.c[self.key.name])))
            .values(lease=token, due_at=due_in(LEASE_SECONDS))
            .returning(self.table)
        )
        return db.session.execute(claimed).all()

    def renew(self, key: int, token: str) -> bool:
        """Let a lease begin anew, its row locked; return whether the token still has it."""
        return self.set(key, token, due_at=due_in(LEASE_SECONDS))

    def release(self, key: int, token: str, seconds: float, **values: Any) -> bool:
        """Release a row, due in so many seconds; return whether the token still had it."""
        return self.set(key, token, lease=None, due_at=due_in(seconds), **values)

    def set(self, key: int, token: str, **values: Any) -> bool:
        """Set columns of a row whose lease the token has; return whether it has."""
        mine = update(self.table).where(self.key == key, self.lease == token).values(**values)
        done: Any = db.session.execute(mine)
        return bool(done.rowcount == 1)

    def mend(self, value: int) -> int:
        """Bring back the rows of a destination that are due too late; return how many.

        The clock was set back. A lease then begins anew, since its worker may be at it.
        """
        keys = [key for (key,) in self.late_keys.fetch(destination=value)]
        if keys:
            due_at = case((self.lease.is_not(None), due_in(LEASE_SECONDS)), else_=NOW)
            still_late = (self.key.in_(keys), self.is_late())
            db.session.execute(update(self.table).where(*still_late).values(due_at=due_at))
        return len(keys)

    def is_late(self) -> ColumnElement[bool]:
        """Return the condition of the rows that are due later than any is made."""
        is_leased = self.lease.is_not(None)
        after_lease = and_(is_leased, self.due_at > due_in(LEASE_SECONDS + MARGIN))
        return or_(self.due_at > due_in(self.longest + MARGIN), after_lease)
