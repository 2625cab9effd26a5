"""Changes of which a webhook is told once more."""

from typing import Any

from sqlalchemy import bindparam, select, update

from omnidesk.db import db
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.session import read_locked
from omnidesk.db.statements import Statement
from omnidesk.webhooks.deliveries import WebhookDelivery, as_new
from omnidesk.webhooks.feed import changes_between
from omnidesk.webhooks.making import row_of, store
from omnidesk.webhooks.models import Webhook

DATABASE_ID = Statement(select(DatabaseId.id))
AT_ONCE = 1_000  # deliveries that one transaction stores
TABLE = WebhookDelivery.__table__
# Those that were sent or have failed. What a worker is sending is pending, and not waited for.
AGAIN = (
    update(TABLE)
    .where(
        TABLE.c.webhook_id == bindparam("of_webhook"),
        TABLE.c.seq == bindparam("of_seq"),
        TABLE.c.due_at.is_(None),
    )
    .values(type=bindparam("new_type"), **as_new())
)


def replay(webhook: Webhook, after_seq: int, to_seq: int) -> int | None:
    """Let a webhook be told again of the changes that it wants; return how many these are.

    Each has the id that it had before. What is pending stays as it is. It commits. None where the
    webhook is deleted meanwhile.
    """
    changes = changes_between(after_seq, to_seq)
    ((database_id,),) = DATABASE_ID.fetch()
    rows = [
        row_of(webhook.webhook_id, database_id, change, type_)
        for change in changes
        if (type_ := webhook.type_for(change))
    ]
    for first in range(0, len(rows), AT_ONCE):
        if not store_again(webhook.webhook_id, rows[first : first + AT_ONCE]):
            return None
    return len(rows)


def store_again(webhook_id: int, rows: list[dict[str, Any]]) -> bool:
    """Let deliveries of a webhook be due, new or once more, and commit; False without the webhook.

    Workers make none of its deliveries meanwhile.
    """
    if read_locked(Webhook, webhook_id) is None:
        return False
    store(rows)
    names = {"of_webhook": "webhook_id", "of_seq": "seq", "new_type": "type"}
    again = [{name: row[column] for name, column in names.items()} for row in rows]
    db.session.connection().execute(AGAIN, again)
    db.session.commit()
    return True
