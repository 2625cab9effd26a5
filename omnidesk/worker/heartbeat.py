"""Which workers run: each says so again and again."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import String, bindparam, func, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.backlog import oldest_queued_seconds
from omnidesk.db import Base, utcnow
from omnidesk.db.statements import Statement

ALIVE = timedelta(minutes=1)  # a worker says so every ten seconds


class Worker(Base):
    """A worker that runs, or has run until shortly before."""

    __tablename__ = "worker"

    worker_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(default=utcnow)


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
