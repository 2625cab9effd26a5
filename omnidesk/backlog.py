"""Since when the oldest waits of what is yet to be sent, which a worker does at once."""

from datetime import datetime

from sqlalchemy import func, literal_column, select, union_all

from omnidesk.conversations.messages import Message
from omnidesk.db import utcnow
from omnidesk.db.json_sql import JsonTime
from omnidesk.db.statements import Statement
from omnidesk.webhooks.models import oldest_pending

QUEUED = select(JsonTime(func.min(Message.delivery_at)).label("oldest")).where(
    Message.delivery_state == literal_column("'queued'")
)
BOTH = union_all(QUEUED, oldest_pending()).subquery()
# As JSON has it, whose times are ordered as texts; null for nothing.
OLDEST_QUEUED = select(func.min(BOTH.c.oldest)).scalar_subquery()
BACKLOG = Statement(select(OLDEST_QUEUED.label("oldest")))


def oldest_queued_seconds() -> int | None:
    """Return for how long the oldest of what is yet to be sent has been waiting; None for none."""
    ((at,),) = BACKLOG.fetch()
    if at is None:
        return None
    return max(0, round((utcnow() - datetime.fromisoformat(at)).total_seconds()))
