"""Which workers run: each says so again and again."""

import os
import secrets
import socket
from datetime import datetime, timedelta

from sqlalchemy import String, delete
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, db, utcnow


class Worker(Base):
    """A worker that runs, or has run until shortly before."""

    __tablename__ = "worker"

    INTERVAL = 10.0  # seconds between two heartbeats
    MAX_AGE = timedelta(hours=1)  # of the last heartbeat; then the worker is long gone

    worker_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(default=utcnow)


class Heartbeat:
    """The row of this process."""

    def __init__(self) -> None:
        self.worker_id, self.started_at = secrets.token_hex(16), utcnow()

    def beat(self) -> None:
        """Say that this worker runs, and commit it."""
        row = Worker(worker_id=self.worker_id, started_at=self.started_at, seen_at=utcnow())
        row.host, row.pid = socket.gethostname()[:255] or "localhost", os.getpid()
        db.session.merge(row)
        db.session.commit()

    def end(self) -> None:
        """Say that it no longer runs, and commit it."""
        db.session.execute(delete(Worker).where(Worker.worker_id == self.worker_id))
        db.session.commit()


def prune_workers() -> None:
    """Delete the rows of workers that have ended without saying so; the caller commits."""
    db.session.execute(delete(Worker).where(Worker.seen_at < utcnow() - Worker.MAX_AGE))
