"""Checks of what is sent to clients and to other systems."""

import json
import os
from collections.abc import Iterator

from sqlalchemy import exists, select

from omnidesk.backlog import oldest_queued_seconds
from omnidesk.channels.models import NONE, Channel
from omnidesk.channels.setups import SETUPS
from omnidesk.db import db, utcnow
from omnidesk.db.session import READ
from omnidesk.operations.backup.backups import age_text
from omnidesk.operations.doctor.findings import FAULT, WARNING, Finding
from omnidesk.webhooks.models import Webhook
from omnidesk.worker.status import workers_alive

LATE = 600  # seconds that something waits at most while receivers answer


def worker() -> Iterator[Finding]:
    """Find that no worker runs although something is to be sent, or that it is late."""
    waited = oldest_queued_seconds()
    age = f"The oldest of what is to be sent has been waiting for {age_text(waited or 0)}."
    if not workers_alive() and (waited is not None or is_needed()):
        level = WARNING if waited is None else FAULT
        problem = "No worker runs, so nothing is sent."
        problem += "" if waited is None else f" {age}"
        yield Finding("worker", level, problem, "Start the worker.")
    elif waited is not None and waited > LATE:
        cure = "See in the worker's log which receiver does not answer."
        yield Finding("worker", WARNING, age, cure)


def is_needed() -> bool:
    """Return whether there is a channel that is served."""
    served = select(exists().where(Channel.active, Channel.type != NONE))
    with db.engines[READ].connect() as connection:
        return bool(connection.scalar(served))


def webhooks() -> Iterator[Finding]:
    """Find webhooks that fail, or that the server has stopped since they did."""
    columns = (Webhook.webhook_id, Webhook.active, Webhook.failing_since, Webhook.inactive_reason)
    fails = Webhook.active & Webhook.failing_since.is_not(None)
    wrong = select(*columns).where(fails | Webhook.inactive_reason.is_not(None))
    with db.engines[READ].connect() as connection:
        found = connection.execute(wrong.order_by(Webhook.webhook_id)).all()
    for webhook_id, active, since, reason in found:
        if active and since is not None:
            age = age_text((utcnow() - since).total_seconds())
            problem = f"The webhook {webhook_id} has failed for {age}."
            cure = f"See why in GET /api/webhooks/{webhook_id}/deliveries?state=pending,failed."
        else:
            problem = f"The webhook {webhook_id} was stopped. {reason}"
            cure = "Set it active when its receiver works again, or delete it."
        yield Finding("webhooks", WARNING, problem, cure)


def channel_secrets() -> Iterator[Finding]:
    """Find secrets of active channels that have no name, or that the environment lacks."""
    columns = (Channel.channel, Channel.type, Channel.secrets)
    served = select(*columns).where(Channel.active, Channel.type != NONE)
    with db.engines[READ].connect() as connection:
        channels = connection.execute(served.order_by(Channel.channel_id)).all()
    for channel, kind, named in channels:
        variables = json.loads(named)
        for name in SETUPS[kind].secrets:
            variable = variables.get(name)
            if variable is None:
                problem = f"The channel {channel} names no variable for its {name}."
                cure = "Name one in its secrets; what needs it does not work."
                yield Finding("channel secrets", WARNING, problem, cure)
            elif not os.environ.get(variable):
                problem = f"{variable}, the {name} of the channel {channel}, is not set."
                yield Finding("channel secrets", FAULT, problem, f"Set {variable} and restart.")
