"""A stand-in for an operator's own program: it receives what the desk sends, and sends updates.

Both are signed as github.com/standard-webhooks says (spec/standard-webhooks.md): `webhook-id` stays
the same when a body is sent again, `webhook-timestamp` is when it is sent, in seconds, and
`webhook-signature` has one `v1,<base64>` for each secret, with spaces between. A receiver refuses a
timestamp more than five minutes away. It serves tests of channels of the type `webhook`, and of
subscriptions to changes.

Run `python -m tests.providers.operator --help` to use it as a program.
"""

import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import requests
from standardwebhooks import Webhook, WebhookVerificationError

from tests.providers.habits import Reply
from tests.providers.program import run
from tests.providers.sending import Sender
from tests.providers.serving import Request
from tests.providers.standin import Accepted, StandIn

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECIPIENTS = ("to", "external_chat_id", "conversation_id", "entity_id")
TEXTS = ("text", "content", "type")


class Operator(StandIn, Sender):
    """Receives what is signed with its secret, and answers 401 to all else.

    Whom a message is for, and its text, are the first of `recipient_keys` and `text_keys` in
    `data`, or else in the body. Every path is served.
    """

    secret = SECRET
    recipient_keys: Sequence[str] = RECIPIENTS
    text_keys: Sequence[str] = TEXTS

    def __init__(self, port: int = 0) -> None:
        Sender.__init__(self)
        super().__init__(port)

    def recipient(self, request: Request) -> str | None:
        """Return whom a message is for."""
        return first(request.object(), self.recipient_keys)

    def answer(self, request: Request) -> Reply:
        """Return 200 with an id, or 401 if the signature is wrong."""
        if not self.is_signed(request):
            return Reply(401, {"error": "The signature is wrong"})
        body = request.object()
        text = first(body, self.text_keys) or ""
        message_id = f"op-{secrets.token_hex(8)}"
        self.accept(Accepted(self.recipient(request) or "", text, message_id, body))
        return Reply(200, {"external_message_id": message_id})

    def is_signed(self, request: Request) -> bool:
        """Return whether a request is signed with the secret, and fresh."""
        try:
            Webhook(self.secret).verify(request.body, dict(request.headers.items()))
        except (WebhookVerificationError, ValueError):
            return False
        return True

    @property
    def webhook_ids(self) -> list[str]:
        """The `webhook-id` of each request, in order; one that is sent again has the same."""
        return [request.headers["webhook-id"] or "" for request in list(self.requests)]

    def signed(self, body: bytes) -> dict[str, str]:
        """Return the three headers for a body that is sent now."""
        return self.signed_as(f"msg_{secrets.token_hex(12)}", body, time.time())

    def signed_as(self, webhook_id: str, body: bytes, at: float) -> dict[str, str]:
        """Return the three headers for a body with an id and a time in seconds."""
        sent_at = datetime.fromtimestamp(int(at), UTC)
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at)),
            "webhook-signature": Webhook(self.secret).sign(webhook_id, sent_at, body.decode()),
        }

    def notify(self, kind: str, data: dict[str, Any]) -> requests.Response:
        """Send an update of a type once."""
        return self.post(update(kind, data))

    def say(self, text: str = "Hello", chat_id: str = "ada", **_: Any) -> int:
        """Send a text by a client; return the status of the answer."""
        ids = {"external_chat_id": chat_id, "external_message_id": secrets.token_hex(8)}
        return self.notify("message", {**ids, "content": text}).status_code


def update(kind: str, data: dict[str, Any]) -> bytes:
    """Return the body of an update: `type`, `timestamp` and `data`, as the specification says."""
    sent_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": sent_at, "data": data}).encode()


def first(body: dict[str, Any], keys: Sequence[str]) -> str | None:
    """Return the first of these values in `data` or in the body, as a text."""
    data = body.get("data")
    places = [data, body] if isinstance(data, dict) else [body]
    found = (place[key] for place in places for key in keys if place.get(key) is not None)
    return next((str(value) for value in found), None)


if __name__ == "__main__":
    run(Operator)
