"""Sending to a program of the operator's, by Standard Webhooks.

github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from omnidesk.channels.models import Channel
from omnidesk.egress import Answer
from omnidesk.providers.outgoing import (
    NotConfigured,
    Outcome,
    Outgoing,
    Refused,
    Request,
    Sent,
    TryAgain,
    object_in,
)

PREFIX = "whsec_"
FINAL = (400, 409, 410, 413, 415, 422)  # about the message; others are mended by the operator


def request(channel: Channel, message: Outgoing) -> Request:
    """Return the request that sends a message; raise NotConfigured."""
    url, secret = channel.setting("url"), channel.secret("signing_secret")
    if not url or not secret:
        raise NotConfigured("The channel needs url and the secret signing_secret.")
    now = datetime.now(UTC)
    content = json.dumps(body(message, now), ensure_ascii=False, separators=(",", ":")).encode()
    # The same at every try: the receiver can tell what it has already.
    headers = signed(key_of(secret), f"msg_{message.message_id}", now, content)
    return Request(url, {"Content-Type": "application/json", **headers}, content)


def body(message: Outgoing, now: datetime) -> dict[str, Any]:
    """Return the JSON of a message."""
    data = {
        "message_id": message.message_id,
        "external_chat_id": message.chat_id,
        "kind": message.kind,
        "content": message.content,
        "meta": dict(message.meta) or None,
    }
    return {"type": "message", "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": data}


def key_of(secret: str) -> bytes:
    """Return the key that a secret such as `whsec_MfKQ9r8G...` stands for; raise NotConfigured."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise NotConfigured("The secret signing_secret must be whsec_ and a key in base64.")
    return key


def signed(key: bytes, webhook_id: str, at: datetime, content: bytes) -> dict[str, str]:
    """Return the three headers that say what a body is, when it is sent, and who sends it."""
    seconds = str(int(at.timestamp()))
    text = b".".join((webhook_id.encode(), seconds.encode(), content))
    signature = base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{signature}",
    }


def outcome(answer: Answer) -> Outcome:
    """Return what an answer means; it may name the message as the program calls it."""
    if 200 <= answer.status < 300:
        found = object_in(answer).get("external_message_id")
        is_id = isinstance(found, str) and 0 < len(found) <= 255 and found.isprintable()
        return Sent(found if is_id else None)
    reason = f"The receiver answered with status {answer.status}."
    return Refused(reason) if answer.status in FINAL else TryAgain(reason, answer.retry_after)
