"""Whether workers run, and whether they keep up."""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import bindparam, func, select

from omnidesk.backlog import oldest_queued_seconds
from omnidesk.db import utcnow
from omnidesk.db.statements import Statement
from omnidesk.worker.heartbeat import Worker
from omnidesk.worker.loop import THREADS

# To PostgreSQL, that a worker opens at most: its loop and each thread write on one and read on one,
# and the loop looks on one more for what is due too late.
CONNECTIONS = 2 * (THREADS + 1) + 1
ALIVE = timedelta(seconds=6 * Worker.INTERVAL)  # since the last heartbeat
WORKERS = Statement(
    select(func.count()).where(Worker.seen_at > bindparam("since", type_=Worker.seen_at.type))
)


def workers_alive() -> int:
    """Return how many workers have said lately that they run."""
    ((count,),) = WORKERS.fetch(since=utcnow() - ALIVE)
    return int(count)


def gauges() -> Iterator[tuple[str, str, float]]:
    """Yield the metrics of what is sent: name, meaning and value."""
    yield "omnidesk_workers", "Workers that run", workers_alive()
    waited = oldest_queued_seconds() or 0
    yield "omnidesk_queued_seconds", "For how long the oldest waits of what is to be sent", waited
