"""Sending to a program of the operator's, by Standard Webhooks.

github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md
"""

import json
from datetime import UTC, datetime
from typing import Any

from omnidesk.channels.models import Channel
from omnidesk.egress import Answer
from omnidesk.egress.signatures import key_of, signed_headers
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

FINAL = (400, 409, 410, 413, 415, 422)  # about the message; others are mended by the operator


def request(channel: Channel, message: Outgoing) -> Request:
    """Return the request that sends a message; raise NotConfigured."""
    data = {
        "message_id": message.message_id,
        "external_chat_id": message.chat_id,
        "kind": message.kind,
        "content": message.content,
        "meta": dict(message.meta) or None,
    }
    # The id is the same at every try: the receiver can tell what it has already.
    return signed_request(channel, f"msg_{message.message_id}", "message", data)


def signed_request(
    channel: Channel, webhook_id: str, event_type: str, data: dict[str, Any]
) -> Request:
    """Return the request that tells a program of something; raise NotConfigured."""
    url, secret = channel.setting("url"), channel.secret("signing_secret")
    if not url or not secret:
        raise NotConfigured("The channel needs url and the secret signing_secret.")
    try:
        key = key_of(secret)
    except ValueError:
        reason = "The secret signing_secret must be whsec_ and a key in base64."
        raise NotConfigured(reason) from None
    now = datetime.now(UTC)
    told = {"type": event_type, "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}", "data": data}
    body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    return Request(url, signed_headers([key], webhook_id, int(now.timestamp()), body), body)


def outcome(answer: Answer) -> Outcome:
    """Return what an answer means; it may name the message as the program calls it."""
    if 200 <= answer.status < 300:
        found = object_in(answer).get("external_message_id")
        is_id = isinstance(found, str) and 0 < len(found) <= 255 and found.isprintable()
        return Sent(found if is_id else None)
    reason = f"The receiver answered with status {answer.status}."
    return Refused(reason) if answer.status in FINAL else TryAgain(reason, answer.retry_after)
