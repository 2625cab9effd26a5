"""The demo's webhook, which tells nobody."""

from omnidesk.db import db, utcnow
from omnidesk.webhooks.deliveries import SENT, WebhookDelivery
from omnidesk.webhooks.models import STANDARD, Webhook


def add() -> None:
    """Add a webhook that is inactive, so that nobody is told of the demo, and a delivery."""
    webhook = Webhook.new(
        url="https://example.com/hooks/omnidesk",
        types=["ticket.closed", "comment.*"],
        format=STANDARD,
        active=False,
        description="Data warehouse",
    )
    db.session.add(webhook)
    db.session.flush()
    told = {"seq": 1, "type": "ticket.closed", "state": SENT, "attempts": 1, "status_code": 200}
    ids = {"webhook_id": webhook.webhook_id, "database_id": webhook.database_id}
    db.session.add(WebhookDelivery(**ids, **told, attempted_at=utcnow()))
