"""The queue of webhooks, as the worker asks for it: what it sends at once is a batch."""

import secrets
from collections.abc import Iterable, Sequence
from threading import Event
from time import monotonic

from sqlalchemy import select

from omnidesk.db import db
from omnidesk.db.statements import Statement
from omnidesk.webhooks import sending
from omnidesk.webhooks.deliveries import PRUNED_AT_ONCE, WebhookDelivery
from omnidesk.webhooks.making import make_deliveries
from omnidesk.webhooks.models import Webhook
from omnidesk.webhooks.sending import DUE, LEASES, Batch

PRUNE_SECONDS = 5.0  # in which others of the worker's wait
MEND_SECONDS = 30.0
WEBHOOKS = Statement(select(Webhook.webhook_id))


class WebhookQueue:
    """Deliveries to webhooks, each of which is a destination."""

    name = "webhooks"

    def __init__(self, stopping: Event) -> None:
        self.stopping = stopping
        self.token = secrets.token_hex(8)
        self.claims = 0
        self.mend_at = 0.0

    def step(self) -> bool:
        """Make deliveries of changes; return whether there is more."""
        return make_deliveries()

    def due(self) -> Iterable[int]:
        """Return the active webhooks that something is due for."""
        if monotonic() >= self.mend_at:
            mend_all()
            self.mend_at = monotonic() + MEND_SECONDS
        return [webhook_id for (webhook_id,) in DUE.fetch()]

    def claim(self, destination: int, count: int) -> Sequence[Batch]:
        """Return at most so many batches for a webhook, which nobody else sends meanwhile."""
        self.claims += 1
        return sending.claim(destination, count, f"{self.token}{self.claims:x}")

    def send(self, item: Batch) -> bool:
        """Send a batch and note what became of it; return whether its receiver works."""
        return sending.send(item, self.stopping)

    def give_back(self, item: Batch) -> None:
        """Let others claim what will not be sent."""
        sending.give_back(item)

    def prune(self) -> None:
        """Delete old deliveries, for some seconds at most."""
        give_up_at = monotonic() + PRUNE_SECONDS
        while monotonic() < give_up_at and prune_some():
            continue


def mend_all() -> None:
    """Bring back what is due too late, as the clock was set back, and commit.

    Where nothing is, it only reads: on SQLite, others write meanwhile.
    """
    if sum(LEASES.mend(webhook_id) for (webhook_id,) in WEBHOOKS.fetch()):
        db.session.commit()


def prune_some() -> bool:
    """Delete some old deliveries and commit; return whether there may be more."""
    pruned = WebhookDelivery.prune()
    db.session.commit()
    return pruned == PRUNED_AT_ONCE
