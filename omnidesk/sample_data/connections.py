"""What the demo is connected to: a channel and a webhook, both not in use."""

from datetime import datetime

from omnidesk.channels.models import Channel
from omnidesk.db import db, utcnow
from omnidesk.webhooks.deliveries import SENT, WebhookDelivery
from omnidesk.webhooks.models import STANDARD, Webhook


def channels(created_at: datetime) -> list[Channel]:
    """Return a channel that is not active: its secrets are not there."""
    channel = Channel.new(
        channel="telegram",
        type="telegram",
        active=False,
        bot_first=False,
        settings={},
        secrets={"bot_token": "CHANNEL_TELEGRAM_BOT_TOKEN"},
    )
    channel.channel_id, channel.created_at = 1, created_at
    return [channel]


def add_webhook() -> None:
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
