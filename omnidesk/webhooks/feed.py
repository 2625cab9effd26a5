"""Where webhooks are in the change log, and the changes that come next."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, bindparam, func, literal_column, select

from omnidesk.db import Filters, db, json_sql
from omnidesk.db.change_log import Change
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.session import READ
from omnidesk.db.statements import Statement
from omnidesk.webhooks.event_types import LoggedChange
from omnidesk.webhooks.models import Webhook
from omnidesk.webhooks.reading import InTurn

READ_TOGETHER = 10  # changes that are about to be sent: few, as each may be long
AT_ONCE = 500  # changes that are read together
COLUMNS: tuple[Any, ...] = (
    *(Change.seq, json_sql.JsonTime(Change.at).label("at"), Change.actor, Change.entity),
    *(Change.entity_id, Change.op, Change.before, Change.after),
)
# The seq before the oldest change. In a database that was restored, it is before the start of the
# feed: the feed leaves out older changes, but webhooks may not have been told of them.
BEFORE_OLDEST = func.coalesce(
    select(func.min(Change.seq) - literal_column("1")).scalar_subquery(), DatabaseId.feed_start()
)
ACTIVE = Statement(
    select(Webhook.webhook_id, Webhook.after_seq, BEFORE_OLDEST, DatabaseId.feed_start())
    .where(Webhook.active)
    .order_by(Webhook.webhook_id)
)


def columns_only(changes: Select[Any]) -> Select[Any]:
    """Return the select of changes with what is told of each."""
    return changes.with_only_columns(*COLUMNS)


NEXT = Statement(columns_only(Change.feed(Filters(after=0), hidden=())).limit(AT_ONCE))


class Position(NamedTuple):
    """Where an active webhook is, and from where on the log has all changes."""

    webhook_id: int
    after_seq: int
    start: int


def positions() -> list[Position]:
    """Return where the active webhooks are."""
    return [
        Position(webhook_id, after_seq, min(before_oldest, start))
        for webhook_id, after_seq, before_oldest, start in ACTIVE.fetch()
    ]


def changes_after(seq: int) -> list[LoggedChange]:
    """Return the next changes in the order of their commits."""
    return [LoggedChange(*row) for row in NEXT.fetch(after=seq)]


SEQS = [bindparam(f"seq_{number}", type_=Integer()) for number in range(READ_TOGETHER)]
CHANGES = InTurn(select(*COLUMNS).where(Change.seq.in_(SEQS)))


def changes_of(seqs: Sequence[int]) -> dict[int, LoggedChange]:
    """Return those of at most ten changes that the log still has, as they are now, by their seq."""
    missing = READ_TOGETHER - len(seqs)  # the statement is always the same
    padded = [*seqs, *([seqs[0]] * missing)]
    values = {f"seq_{number}": seq for number, seq in enumerate(padded)}
    return {row[0]: LoggedChange(*row) for row in CHANGES.fetch(**values)}


def changes_between(after_seq: int, to_seq: int) -> Sequence[LoggedChange]:
    """Return the changes after a seq and up to another that the feed shows, by their seq."""
    between = Change.seq > after_seq, Change.seq <= to_seq, Change.is_settled()
    with db.engines[READ].connect() as connection:
        found = connection.execute(select(*COLUMNS).where(*between).order_by(Change.seq))
        return [LoggedChange(*row) for row in found]


FEED_START = Statement(select(DatabaseId.changes_after))


def feed_start() -> int:
    """Return the seq that the changes of the feed come after."""
    return int(FEED_START.fetch()[0][0])
