"""Webhooks for tests: rows, and a worker's work without a worker."""

from collections.abc import Sequence
from datetime import timedelta
from threading import Event
from typing import Any

from sqlalchemy import select, update

from omnidesk.db import db, utcnow
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.event_types import GROUPS
from omnidesk.webhooks.models import Webhook
from omnidesk.webhooks.queue import WebhookQueue
from tests.conftest import save
from tests.receivers import Receiver, Request

EVERYTHING = [*GROUPS]


def make_webhook(url: str = "https://example.com/hook", **fields: Any) -> Webhook:
    """Store a webhook that is told of all changes from now on."""
    defaults: dict[str, Any] = {"types": EVERYTHING, "format": "standard", "active": True}
    return save(Webhook.new(url=url, **(defaults | fields)))


def work(count: int = 1) -> list[bool]:
    """Make all deliveries and send what is due; return of each batch whether its receiver works."""
    db.session.rollback()
    queue = WebhookQueue(Event())
    while queue.step():
        continue
    batches = [batch for webhook_id in queue.due() for batch in queue.claim(webhook_id, count)]
    return [queue.send(batch) for batch in batches]


def told(receiver: Receiver) -> list[Request]:
    """Return the requests that have arrived when all is sent that is due."""
    work()
    return receiver.requests


def types_told(receiver: Receiver) -> list[str]:
    """Return the types of what a receiver is told."""
    return [request.json["type"] for request in told(receiver)]


def deliveries(webhook: Webhook) -> Sequence[WebhookDelivery]:
    """Return the deliveries of a webhook, oldest first, as the database has them."""
    of_webhook = select(WebhookDelivery).filter_by(webhook_id=webhook.webhook_id)
    ordered = of_webhook.order_by(WebhookDelivery.delivery_id)
    found = db.session.scalars(ordered.execution_options(populate_existing=True)).all()
    db.session.commit()
    return found


def make_due() -> None:
    """Let all that waits be due."""
    waits, before = WebhookDelivery.due_at.is_not(None), utcnow() - timedelta(seconds=1)
    db.session.execute(update(WebhookDelivery).where(waits).values(due_at=before))
    db.session.commit()
