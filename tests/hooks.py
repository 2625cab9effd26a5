"""Channels' hooks, and bodies as their providers sign them."""

import hashlib
import hmac
import json
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from standardwebhooks import Webhook

from omnidesk.channels.models import Channel
from omnidesk.conversations.messages import Message
from omnidesk.db import db, utcnow
from tests.providers.whatsapp_updates import BUSINESS

SECRETS = {  # in the environment of the tests' servers
    "TEST_APP_SECRET": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "TEST_VERIFY_TOKEN": "vibecoding",
    "TEST_WEBHOOK_SECRET": "a-secret_token",
    "TEST_SIGNING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
NAMES = {
    "whatsapp": {"app_secret": "TEST_APP_SECRET", "verify_token": "TEST_VERIFY_TOKEN"},
    "telegram": {"webhook_secret": "TEST_WEBHOOK_SECRET"},
    "webhook": {"signing_secret": "TEST_SIGNING_SECRET"},
    "none": {},
}
WHATSAPP_SETTINGS = {"phone_number_id": BUSINESS["phone_number_id"]}


def make_channel(channel_type: str, **fields: Any) -> Channel:
    """Store a channel, whose name is that of its type."""
    settings = WHATSAPP_SETTINGS if channel_type == "whatsapp" else {}
    defaults = {"channel": channel_type, "active": True, "bot_first": False}
    texts = {"settings": json.dumps(settings), "secrets": json.dumps(NAMES[channel_type])}
    made = defaults | texts | fields
    channel = Channel(**made, type=channel_type, created_at=utcnow())
    db.session.add(channel)
    db.session.commit()
    return channel


def path_of(channel: Channel) -> str:
    """Return the path of a channel's hook."""
    return f"/api/hooks/{channel.type}/{channel.channel_id}"


def signed(channel_type: str, body: bytes) -> dict[str, str]:
    """Return the headers with which a provider sends a body."""
    sign = {"whatsapp": by_whatsapp, "telegram": by_telegram, "webhook": by_operator}
    return {"Content-Type": "application/json"} | sign[channel_type](body)


def by_whatsapp(body: bytes) -> dict[str, str]:
    """Return WhatsApp's signature."""
    digest = hmac.new(SECRETS["TEST_APP_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}"}


def by_telegram(_: bytes) -> dict[str, str]:
    """Return Telegram's secret."""
    return {"X-Telegram-Bot-Api-Secret-Token": SECRETS["TEST_WEBHOOK_SECRET"]}


def by_operator(body: bytes, at: float = 0, name: str = "TEST_SIGNING_SECRET") -> dict[str, str]:
    """Return the signature of Standard Webhooks, with a time in seconds from now."""
    seconds = int(time.time() + at)
    webhook_id = f"msg_{secrets.token_hex(12)}"
    text = body.decode(errors="replace")
    signature = Webhook(SECRETS[name]).sign(webhook_id, datetime.fromtimestamp(seconds, UTC), text)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature,
    }


def messages() -> list[Message]:
    """Return all messages, oldest first."""
    found = [*db.session.scalars(select(Message).order_by(Message.message_id))]
    db.session.rollback()  # SQLite has one writer at a time
    return found


class Hook:
    """The hook of a new channel, to which its provider sends bodies."""

    def __init__(self, caller: Any, channel_type: str, **fields: Any) -> None:
        self.caller, self.type = caller, channel_type
        self.channel = make_channel(channel_type, **fields)
        self.path = path_of(self.channel)

    def send(self, body: Any, status: int = 200, **headers: str) -> Any:
        """Send a body, signed; return the response, which must have the status."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = signed(self.type, content) | headers
        answer = self.caller.post(self.path, data=content, headers=headers)
        assert answer.status_code == status, answer.text
        return answer
