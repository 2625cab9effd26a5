"""Changes of which a webhook is told once more."""

from functools import cache
from typing import Any

from sqlalchemy import select

from omnidesk.db import db
from omnidesk.db.clock import NOW
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.inserts import insert_or_conflict
from omnidesk.db.statements import Statement
from omnidesk.webhooks.deliveries import PENDING, WebhookDelivery
from omnidesk.webhooks.feed import changes_between
from omnidesk.webhooks.making import row_of
from omnidesk.webhooks.models import Webhook

DATABASE_ID = Statement(select(DatabaseId.id))
AT_ONCE = 1_000  # deliveries that one transaction stores


def replay(webhook: Webhook, after_seq: int, to_seq: int) -> int:
    """Let a webhook be told again of the changes that it wants; return how many these are.

    Each has the id that it had before. What is pending stays as it is. It commits.
    """
    changes = changes_between(after_seq, to_seq)
    ((database_id,),) = DATABASE_ID.fetch()
    rows = [
        row_of(webhook.webhook_id, database_id, change, type_)
        for change in changes
        if (type_ := webhook.type_for(change))
    ]
    for first in range(0, len(rows), AT_ONCE):
        db.session.execute(insert_again(db.engine.name), rows[first : first + AT_ONCE])
        db.session.commit()
    return len(rows)


@cache
def insert_again(database: str) -> Any:
    """Return the insert of deliveries that are due now, instead of those that are finished."""
    table = WebhookDelivery.__table__
    new = insert_or_conflict(table, database).values(due_at=NOW)
    anew = {"type": new.excluded.type, "due_at": new.excluded.due_at, "state": PENDING}
    anew |= {"attempts": 0, "status_code": None, "error": None}
    return new.on_conflict_do_update(
        index_elements=["webhook_id", "seq"], set_=anew, where=table.c.due_at.is_(None)
    )
