"""A test of a webhook: a request about no change, which counts as neither success nor failure."""

import secrets

from omnidesk.db import utcnow
from omnidesk.webhooks.bodies import test_body
from omnidesk.webhooks.models import SLACK
from omnidesk.webhooks.requests import Outcome, Target
from omnidesk.webhooks.slack import text_body

TEXT = "This is a test of a webhook of OmniDesk."


def try_out(webhook_id: int) -> Outcome | None:
    """Send a test; return what became of it, or None where there is no such webhook."""
    target, message_id = Target.of(webhook_id), f"msg_test_{secrets.token_hex(12)}"
    if target is None:
        return None
    if target.format == SLACK:
        return target.post(message_id, text_body(TEXT))
    return target.post(message_id, test_body(utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")))
