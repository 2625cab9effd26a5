"""One signed request to a receiver, and what became of it."""

from collections.abc import Mapping
from time import monotonic, time
from typing import NamedTuple, Self

from flask import current_app
from sqlalchemy import bindparam, case, select

from omnidesk.db.clock import NOW
from omnidesk.egress import Answer, NoAnswer, NotConnected, Rules, connect
from omnidesk.egress.signatures import key_of, signed_headers
from omnidesk.webhooks.deliveries import MAX_ERROR
from omnidesk.webhooks.models import Webhook
from omnidesk.webhooks.reading import InTurn

MAX_SECONDS = 15.0  # for the connection, the request and the answer
CONNECT_SECONDS = 5.0  # of them
MIN_SECONDS = 1.0  # that are left for the answer
GONE = 410
SLOW_DOWN = (429, 503)  # the answers whose Retry-After counts


class Outcome(NamedTuple):
    """What a receiver has answered, or why it has not; `error` is None for success."""

    status_code: int | None
    error: str | None
    retry_after: float = 0.0  # seconds

    @property
    def ok(self) -> bool:
        """Whether it was told."""
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants to be told nothing more."""
        return self.status_code == GONE

    @property
    def is_of_this_one(self) -> bool:
        """Whether it may be refused as what it is: the answer says nothing of others."""
        return self.status_code is not None and not (self.is_gone or self.retry_after)

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Return what an answer means: only 2xx is success. Its text is not kept."""
        status = answer.status
        if 200 <= status < 300:
            return cls(status, None)
        redirected = ", and redirects are not followed" if 300 <= status < 400 else ""
        wait = answer.retry_after or 0.0 if status in SLOW_DOWN else 0.0
        return cls(status, f"It answered {status}{redirected}.", wait)


class Target(NamedTuple):
    """Where a webhook's requests go to, in which form, and what signs them."""

    active: bool
    url: str
    format: str
    secret: str
    old_secret: str | None  # which signs, too, for a day after a rotation

    @classmethod
    def of(cls, webhook_id: int) -> Self | None:
        """Return the target of a webhook; None where there is none."""
        found = TARGET.fetch(webhook_id=webhook_id)
        return cls(*found[0]) if found else None

    def post(self, message_id: str, body: bytes) -> Outcome:
        """Send a body; return what became of it."""
        secrets = (self.secret, self.old_secret) if self.old_secret else (self.secret,)
        signed = signed_headers(map(key_of, secrets), message_id, int(time()), body)
        try:
            return Outcome.of(request(self.url, signed, body))
        except (NotConnected, NoAnswer) as error:
            return Outcome(None, str(error)[:MAX_ERROR])


TARGET = InTurn(
    select(
        *(Webhook.active, Webhook.url, Webhook.format, Webhook.secret),
        case((Webhook.old_secret_until > NOW, Webhook.old_secret)),
    ).where(Webhook.webhook_id == bindparam("webhook_id", type_=Webhook.webhook_id.type))
)


def request(url: str, signed: Mapping[str, str], body: bytes) -> Answer:
    """Return the answer to a request; raise NotConnected or NoAnswer."""
    started = monotonic()
    with connect(url, Rules.of(current_app.config), CONNECT_SECONDS) as connection:
        left = MAX_SECONDS - (monotonic() - started)
        return connection.request(signed, body, timeout=max(MIN_SECONDS, left))
