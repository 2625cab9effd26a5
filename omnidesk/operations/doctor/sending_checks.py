"""Checks of what is sent to clients and to other systems."""

import json
import os
from collections.abc import Iterator

from sqlalchemy import exists, select

from omnidesk.backlog import oldest_queued_seconds
from omnidesk.channels.models import NONE, Channel
from omnidesk.db import db
from omnidesk.db.session import READ
from omnidesk.operations.backup.backups import age_text
from omnidesk.operations.doctor.findings import FAULT, WARNING, Finding
from omnidesk.worker.status import workers_alive

LATE = 600  # seconds that something waits at most while receivers answer


def worker() -> Iterator[Finding]:
    """Find that no worker runs although something is to be sent, or that it is late."""
    waited = oldest_queued_seconds()
    if not workers_alive() and (waited is not None or is_needed()):
        level = WARNING if waited is None else FAULT
        yield Finding("worker", level, "No worker runs, so nothing is sent.", "Start the worker.")
    elif waited is not None and waited > LATE:
        problem = f"The oldest of what is to be sent has been waiting for {age_text(waited)}."
        cure = "See in the worker's log which receiver does not answer."
        yield Finding("worker", WARNING, problem, cure)


def is_needed() -> bool:
    """Return whether there is a channel that is served."""
    served = select(exists().where(Channel.active, Channel.type != NONE))
    with db.engines[READ].connect() as connection:
        return bool(connection.scalar(served))


def channel_secrets() -> Iterator[Finding]:
    """Find secrets of active channels that the environment lacks."""
    named = select(Channel.channel, Channel.secrets).where(Channel.active, Channel.type != NONE)
    with db.engines[READ].connect() as connection:
        channels = connection.execute(named.order_by(Channel.channel_id)).all()
    for channel, secrets in channels:
        for name, variable in json.loads(secrets).items():
            if not os.environ.get(variable):
                problem = f"{variable}, the {name} of the channel {channel}, is not set."
                yield Finding("channel secrets", FAULT, problem, f"Set {variable} and restart.")
